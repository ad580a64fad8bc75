"""Vocabulary of the synthetic MedSync notes: drugs, allergens, symptoms, sentence templates.

Every tuple is ordered and nothing here is a set, so that a seed always meets the same words. Synthetic; not medical
advice: the interaction table is a teaching table of well-known pairs, and leaves out far more than it holds.
"""

from typing import Final

Pair = tuple[str, str]

# The whole truth of the `conflicts` column: two drugs that a patient takes, or is about to start, conflict if and
# only if their pair stands here.
INTERACTIONS: Final[tuple[Pair, ...]] = (
    ("warfarin", "ibuprofen"),  # bleeding
    ("warfarin", "metronidazole"),  # raised INR
    ("lithium", "ibuprofen"),  # lithium toxicity
    ("sildenafil", "nitroglycerin"),  # severe hypotension
    ("simvastatin", "clarithromycin"),  # rhabdomyolysis
    ("lisinopril", "spironolactone"),  # hyperkalaemia
    ("methotrexate", "trimethoprim"),  # marrow suppression
    ("tramadol", "celexa"),  # serotonin syndrome
    ("hydroxyzine", "celexa"),  # QT prolongation
    ("clopidogrel", "omeprazole"),  # clopidogrel is activated less
    ("azathioprine", "allopurinol"),  # marrow suppression
    ("tizanidine", "cipro"),  # contraindicated: hypotension, sedation
    ("lamotrigine", "valproate"),  # lamotrigine level doubles: severe rash
    ("clonidine", "propranolol"),  # rebound hypertension, bradycardia
)

# Three drugs that make two conflicts, and no third interaction.
TRIPLES: Final[tuple[tuple[str, str, str], ...]] = (
    ("warfarin", "ibuprofen", "metronidazole"),
    ("warfarin", "ibuprofen", "lithium"),
)

# Pairs that differ from a conflict by a name that looks or sounds like one of its drugs, and do not interact.
LOOKALIKES: Final[tuple[Pair, ...]] = (
    ("warfarin", "metformin"),
    ("sildenafil", "nitrofurantoin"),
    ("simvastatin", "azithromycin"),
    ("sitagliptin", "clarithromycin"),
    ("lisinopril", "spiriva"),
    ("metoprolol", "trimethoprim"),
    ("tramadol", "celebrex"),
    ("hydralazine", "celexa"),
    ("hydroxyzine", "celebrex"),
    ("clopidogrel", "pantoprazole"),
    ("azithromycin", "allopurinol"),
    ("tizanidine", "cephalexin"),
    ("lamivudine", "valproate"),
    ("klonopin", "propranolol"),
)

# Pairs of two drugs that each conflict with something, but not with one another.
HARMLESS: Final[tuple[Pair, ...]] = (
    ("warfarin", "lamotrigine"),
    ("warfarin", "lisinopril"),
    ("sildenafil", "ibuprofen"),
    ("simvastatin", "metronidazole"),
    ("simvastatin", "lisinopril"),
    ("simvastatin", "allopurinol"),
    ("azathioprine", "simvastatin"),
    ("nitroglycerin", "omeprazole"),
    ("clopidogrel", "nitroglycerin"),
    ("spironolactone", "omeprazole"),
    ("clarithromycin", "spironolactone"),
    ("clarithromycin", "allopurinol"),
    ("methotrexate", "celexa"),
    ("trimethoprim", "celexa"),
    ("trimethoprim", "propranolol"),
    ("tramadol", "allopurinol"),
    ("tramadol", "lisinopril"),
    ("hydroxyzine", "simvastatin"),
    ("lithium", "omeprazole"),
    ("lithium", "propranolol"),
    ("tizanidine", "simvastatin"),
    ("cipro", "lamotrigine"),
    ("clonidine", "metronidazole"),
    ("metronidazole", "valproate"),
    ("azathioprine", "propranolol"),
)

# Drugs that fill up a list, each with the drugs beside which it is left out (a real interaction or duplicate that
# the table above does not hold). Half of them are look-alikes, so that a look-alike alone says nothing.
FILLERS: Final[dict[str, tuple[str, ...]]] = {
    "loratadine": ("hydroxyzine", "clarithromycin"),
    "montelukast": (),
    "flonase": ("clarithromycin",),
    "famotidine": ("omeprazole", "pantoprazole", "tizanidine"),
    "senna": (),
    "metformin": ("cipro", "trimethoprim", "cephalexin"),
    "sitagliptin": ("cipro", "lisinopril"),
    "spiriva": ("hydroxyzine",),
    "pantoprazole": ("omeprazole", "methotrexate", "warfarin"),
    "metoprolol": (*("propranolol", "clonidine", "celexa", "celebrex", "ibuprofen", "hydralazine", "tizanidine"),),
    "lamivudine": ("trimethoprim", "azathioprine", "methotrexate"),
    "cephalexin": (
        *("warfarin", "metronidazole", "clarithromycin", "trimethoprim", "cipro"),
        *("azithromycin", "nitrofurantoin", "methotrexate"),
    ),
}

DRUGS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys([drug for pair in (*INTERACTIONS, *LOOKALIKES) for drug in pair] + list(FILLERS))
)

# Youngest age at which a drug is written into a note, where it isn't simply any adult.
MIN_AGE: Final[dict[str, int]] = {
    "warfarin": 40,
    "simvastatin": 40,
    "sildenafil": 40,
    "lisinopril": 35,
    "spironolactone": 40,
    "nitroglycerin": 40,
    "clopidogrel": 45,
    "allopurinol": 35,
    "clonidine": 35,
    "hydralazine": 40,
    "metoprolol": 35,
    "spiriva": 45,
    "sitagliptin": 35,
}
MEN_ONLY: Final[tuple[str, ...]] = ("sildenafil",)
NOT_BEFORE_50_IN_WOMEN: Final[tuple[str, ...]] = ("valproate", "methotrexate")  # harm to an unborn child

CONDITION_OF: Final[dict[str, str]] = {
    "warfarin": "atrial fibrillation",
    "lithium": "bipolar disorder",
    "nitroglycerin": "angina",
    "simvastatin": "high cholesterol",
    "lisinopril": "high blood pressure",
    "spironolactone": "heart failure",
    "methotrexate": "psoriasis",
    "celexa": "depression",
    "clopidogrel": "heart disease",
    "azathioprine": "lupus",
    "allopurinol": "gout",
    "valproate": "epilepsy",
    "lamotrigine": "epilepsy",
    "propranolol": "migraine",
    "metformin": "diabetes",
    "sitagliptin": "diabetes",
    "flonase": "nasal polyps",
    "montelukast": "asthma",
    "spiriva": "emphysema",
    "klonopin": "panic disorder",
}
FAMILY_CONDITIONS: Final[tuple[str, ...]] = (
    *("stroke", "diabetes", "gout", "epilepsy", "nasal polyps", "lupus", "asthma", "migraine", "heart failure"),
    *("depression", "psoriasis", "emphysema"),
)

# Allergens, each with the drugs beside which it is left out (same class: no one would go on giving them). Allergens
# that share one are of a class as well.
ALLERGENS: Final[dict[str, tuple[str, ...]]] = {
    "penicillin": ("cephalexin",),
    "amoxicillin": ("cephalexin",),
    "cefaclor": ("cephalexin",),
    "sulfa": ("celebrex",),
    "codeine": ("tramadol",),
    "morphine": ("tramadol",),
    "doxycycline": (),
    "vancomycin": (),
    "lidocaine": (),
    "sesame": (),
    "contrast dye": (),
    "iodine": (),
    "latex": (),
    "nickel": (),
    "surgical tape": (),
    "bee stings": (),
    "cat dander": (),
    "ragweed": (),
    "dust mites": (),
    "peanuts": (),
    "walnuts": (),
    "shellfish": (),
    "eggs": (),
    "milk": (),
    "soy": (),
}
# What is swallowed can be tolerated, or upset the stomach without an allergy.
SWALLOWED: Final[tuple[str, ...]] = (
    *("penicillin", "amoxicillin", "cefaclor", "codeine", "morphine", "doxycycline", "milk", "soy", "eggs"),
)

RED_FLAGS: Final[tuple[str, ...]] = (
    *("chest pain", "chest tightness", "shortness of breath", "slurred speech", "black stools", "fainting"),
    *("vomiting blood", "face drooping", "throat swelling", "sudden vision loss"),
)
SYMPTOMS: Final[tuple[str, ...]] = (
    *("cough", "fever", "sore throat", "nausea", "dizziness", "headache", "knee pain", "back pain", "hip pain"),
    *("shoulder pain", "muscle aches", "itching", "fatigue", "heartburn", "constipation", "diarrhea", "ear pain"),
    *("runny nose", "chills", "joint swelling", "leg cramps", "ankle swelling", "poor sleep", "dry mouth"),
    *("hand tremor", "tingling feet", "bloating", "toothache", "night sweats", "eye redness"),
)
SHORT_TIMES: Final[tuple[str, ...]] = (
    *("since this morning", "since last night", "since yesterday", "since Monday", "since Tuesday", "since Friday"),
    *("for two days", "for three days", "for five days", "for a week"),
)
LONG_TIMES: Final[tuple[str, ...]] = (
    *("for ten days", "for two weeks", "for three weeks", "for a month", "for two months", "since spring"),
)
# The first two are left out for older patients, the last two for younger ones.
RELATIVES: Final[tuple[str, ...]] = ("mother", "father", "brother", "sister", "son", "daughter")

# Sentences by voice and slot. {x} is the slot's content, {r} a relative, {Subj} and {Poss} the patient in the third
# person. Content is always inside a sentence, so that it is never capitalised.
TEMPLATES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "chart": {
        "opener": (
            "{age}-year-old {sex} with {x} {t}.",
            "{age} yo {sex}, {x} {t}.",
            "Seen today: {sex}, {age}, {x} {t}.",
            "{age}{initial} presenting with {x} {t}.",
        ),
        "denial": ("Denies {x}.", "No {x}.", "Negative for {x}."),
        "past_symptom": ("Had {x} last year, resolved.", "Past {x}, none now."),
        "history": ("History of {x}.", "Known {x}."),
        "family_history": ("{R} had {x}.", "Family history of {x}."),
        "allergy": ("Allergic to {x}.", "Allergy: {x}.", "Hives from {x}.", "Reacts to {x}."),
        "no_allergy": ("NKDA.", "No known allergies."),
        "ruled_out": ("Thought allergic to {x} as a child, tested negative.", "Old {x} allergy label, ruled out."),
        "tolerated": ("No rash with {x} now.",),
        "intolerance": ("Stomach upset with {x}, not allergy.",),
        "family_allergy": ("{R} allergic to {x}.", "{R} reacts to {x}."),
        "meds": ("Takes {x}.", "On {x}.", "Meds: {x}.", "Current: {x}."),
        "new": ("Plan: start {x}.", "Urgent care added {x}.", "Starting {x} today."),
        "stopped": ("Stopped {x} last spring.", "Off {x} since March.", "No longer on {x}."),
        "declined": ("Declined {x}.", "Offered {x}, never took it."),
        "relative_takes": ("{R} takes {x}.",),
    },
    "nurse": {
        "opener": (
            "{Subj} is a {age}-year-old {sex} with {x} {t}.",
            "A {age}-year-old {sex} calls about {x} {t}.",
            "This {age}-year-old {sex} has had {x} {t}.",
        ),
        "denial": ("{Subj} denies {x}.", "{Subj} has no {x}.", "{Subj} reports no {x}."),
        "past_symptom": ("{Subj} had {x} last year but not now.",),
        "history": ("{Subj} has {x}.", "{Poss} history includes {x}."),
        "family_history": ("{Poss} {r} had {x}.",),
        "allergy": ("{Subj} is allergic to {x}.", "{Subj} gets hives from {x}.", "{Subj} reacts to {x}."),
        "no_allergy": ("{Subj} has no allergies.", "No known allergies."),
        "ruled_out": ("{Subj} was thought allergic to {x} but tested negative.", "An allergy to {x} was ruled out."),
        "tolerated": ("{Subj} has no rash with {x} now.",),
        "intolerance": ("{Subj} gets an upset stomach from {x}, not an allergy.",),
        "family_allergy": ("{Poss} {r} is allergic to {x}.", "{Poss} {r} reacts to {x}."),
        "meds": ("{Subj} takes {x}.", "{Subj} is on {x}.", "{Poss} medicines are {x}."),
        "new": ("{Subj} was just given {x}.", "The doctor wants to start {x}.", "{Subj} will start {x}."),
        "stopped": ("{Subj} stopped {x} last spring.", "{Subj} is no longer on {x}."),
        "declined": ("{Subj} declined {x}.", "{Subj} was offered {x} but never took it."),
        "relative_takes": ("{Poss} {r} takes {x}.",),
    },
    "patient": {
        "opener": (
            "I am a {age}-year-old {sex} with {x} {t}.",
            "I'm a {sex}, {age}, and I have had {x} {t}.",
            "I am {age}, a {sex}, here for {x} {t}.",
        ),
        "denial": ("No {x}.", "I have no {x}.", "I don't have {x}."),
        "past_symptom": ("I had {x} last year but not now.",),
        "history": ("I have {x}.", "I live with {x}."),
        "family_history": ("My {r} had {x}.",),
        "allergy": ("I am allergic to {x}.", "I get hives from {x}.", "I react to {x}."),
        "no_allergy": ("I have no allergies.", "No allergies."),
        "ruled_out": (
            "They thought I was allergic to {x} but I tested negative.",
            "I am not allergic to {x} after all.",
        ),
        "tolerated": ("I get no rash from {x} now.",),
        "intolerance": ("I get an upset stomach from {x}, not an allergy.",),
        "family_allergy": ("My {r} is allergic to {x}.", "My {r} reacts to {x}."),
        "meds": ("I take {x}.", "I am on {x}.", "My pills are {x}."),
        "new": ("I was just given {x}.", "My doctor wants to start {x}.", "Today I start {x}."),
        "stopped": ("I stopped {x} last spring.", "I no longer take {x}."),
        "declined": ("I said no to {x}.", "I was offered {x} but never took it."),
        "relative_takes": ("My {r} takes {x}.",),
    },
    "fields": {
        "opener": (
            "Patient: {sex}, {age}. Complaint: {x} {t}.",
            "Complaint: {x} {t}. Patient: {age}-year-old {sex}.",
            "Reason: {x} {t}. Age/sex: {age}, {sex}.",
        ),
        "denial": ("Negative: {x}.", "Denies: {x}."),
        "past_symptom": ("Resolved last year: {x}.",),
        "history": ("History: {x}.", "PMH: {x}."),
        "family_history": ("Family: {r} with {x}.",),
        "allergy": ("Allergies: {x}.", "Allergy list: {x}.", "Reactions: {x}."),
        "no_allergy": ("Allergies: none known.", "Allergies: NKDA."),
        "ruled_out": ("Allergy ruled out: {x}.", "Tested negative: {x}."),
        "tolerated": ("Tolerated now: {x}.",),
        "intolerance": ("Intolerance only: {x}.",),
        "family_allergy": ("Family: {r} allergic to {x}.",),
        "meds": ("Meds: {x}.", "Medicines: {x}.", "Taking: {x}."),
        "new": ("New today: {x}.", "To start: {x}."),
        "stopped": ("Stopped: {x}.", "Past drugs: {x}."),
        "declined": ("Declined: {x}.",),
        "relative_takes": ("Family: {r} takes {x}.",),
    },
}
