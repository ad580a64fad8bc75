"""The training path: base model, attention, head, loss, optimizer step, checkpoint content."""
