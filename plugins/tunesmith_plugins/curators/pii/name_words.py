"""Words that stand beside names: titles, relations, greetings, labels; and those that show that it is no person."""

from tunesmith_plugins.curators.pii.word_list import phrases, words

TITLES = frozenset(
    words(
        """
        dr mr mrs ms mx prof professor sir dame lord lady rev reverend father sister fr capt captain sgt sergeant lt
        lieutenant col colonel maj gen judge justice hon doctor nurse rn md herr frau hr fr dr.med mme mlle monsieur
        madame mademoiselle señor señora sr sra srta dott signor signora ing mag rabbi imam pastor detective officer
        inspector attorney senator governor coach master
        """
    )
)
# "Miss the dose": a title only before what is no common word.
DOUBTFUL_TITLES = frozenset(
    words(
        """
    miss master father sister judge officer nurse doctor general coach fr sr maj gen
    """
    )
)
RELATIONS = frozenset(
    words(
        """
        patient client customer resident surgeon physician attorney counsel plaintiff defendant witness cousin uncle
        aunt brother sister daughter son wife husband mother father friend neighbour neighbor colleague coworker partner
        roommate boss manager supervisor adviser advisor teller agent therapist pharmacist dentist landlord tenant
        fiancé fiancée fiance fiancee boyfriend girlfriend grandson granddaughter grandmother grandfather nephew niece
        caregiver guardian caretaker mom dad grandma grandpa stepson stepdaughter specialist counsellor counselor
        midwife paramedic nanny tutor accountant executor trustee beneficiary heir borrower signatory applicant claimant
        insured employee secretary assistant cardiologist oncologist neurologist psychiatrist psychologist
        anesthesiologist
        """
    )
)
GREETINGS = frozenset(
    words(
        """
        dear hi hello hey greetings morning afternoon evening liebe lieber hallo welcome thanks goodbye bye moin servus
        congratulations geehrter geehrte querida querido estimado estimada cher chère ciao
        """
    )
)
# Names follow these, whatever they look like.
LABELS = phrases(
    """
    patient name, full name, first name, last name, given name, family name, middle name, maiden name, legal name,
    customer name, client name, account holder, card holder, cardholder, account name, name, names, name on card,
    holder, next of kin, emergency contact, responsible party, signed, signature, signed by, electronically signed
    by, authorized by, prepared by, dictated by, reviewed by, sender, approved by, attending physician, attending,
    referring physician, primary care physician, pcp, surname, provider, guarantor, policyholder, policy holder,
    subscriber name, member name, forename, nachname, vorname, insured name, payable to, payee, beneficiary name,
    recipient name, attn, attention, c/o, my name is, name's, employee name, contact name, contact person, nok,
    author, known as, a.k.a, /s/, spouse, in favour of, in favor of, on behalf of, pt name, witness, witnessed by,
    undersigned
    """
)
# Names may follow these, or anything else.
CUES = phrases(
    """
    patient, pt, client, customer, from, cc, bcc, agent, doctor, nurse, caller, recipient, beneficiary, insured,
    subscriber, contact, physician, surgeon, therapist, applicant, borrower, spoke with, spoke to, speak with, speak
    to, speaking with, talked to, talked with, talk to, met with, seen by, referred by, referred to, accompanied by,
    ask for, named, discussed with, called, care of, written by, evaluated by, examined by, followed by, consulted,
    performed by, assisted by, spouse is, i am, i'm, this is, it's, here is, introduce, brought in by, informed,
    notified, contacted, cell for, employee, tenant, landlord, driver, owner, manager, relationship manager, for,
    to, re, by, transfer to, behalf of, regarding, paged, emailed, texted, messaged, told, asked, with
    """
)
# Cues that stand before anything: a name after them has to look like one by itself, or to follow a colon.
VAGUE = frozenset(
    phrases(
        """
    from, cc, bcc, for, to, re, by, with, it's, called, told, asked, regarding, contact, consulted, informed,
    driver, owner, followed by, this is, here is, i am, i'm
    """
    )
)
PARTICLES = frozenset(
    words(
        """
        von van de der den del della di da dos das du la le al el bin ibn ben abu ter ten zu zur af av y e
        """
    )
)
SUFFIXES = frozenset(
    words(
        """
    jr sr ii iii iv md phd rn esq do np pa facs mba cpa dds lpn msw
    """
    )
)
# What follows, or ends, a name of something else.
NOT_PERSONS = frozenset(
    words(
        """
        disease syndrome disorder sign test score scale index classification criteria procedure operation maneuver
        manoeuvre lymphoma sarcoma tumor tumour palsy fracture hospital clinic bank university college school institute
        foundation street avenue road lane drive boulevard inc llc ltd gmbh ag corp company co group center centre
        society association journal press county city state river lake mountain island park airport station church
        insurance mutual financial holdings partners services systems technologies pharmaceuticals health healthcare
        medical plan agency department ministry council committee act law rule model method equation theorem algorithm
        cell cells bodies catheter valve stain agar needle tube effect reflex phenomenon virus fever stage cup day prize
        award trial study project corporation airlines hotel restaurant pharmacy laboratory laboratories labs library
        museum theorem regression transform distribution estimator curve ratio analysis contracture thyroiditis
        arthritis nodes ganglion chorea ulcer esophagus oesophagus duct loop canal gland tablet tablets capsule cream
        gel injection spray
        """
    )
)
