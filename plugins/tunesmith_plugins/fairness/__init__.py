"""What mitigations and audits of bias share: texts in which one group takes the place of another."""
