"""Words that stand beside names: titles, relations, greetings, labels; and those that show that it is no person."""

from tunesmith_plugins.curators.pii.word_list import phrases, words

TITLES = frozenset(
    words(
        """
        dr mr mrs ms mx prof professor sir dame lord lady rev reverend father sister fr capt captain sgt sergeant lt drs
        messrs lieutenant col colonel maj gen judge justice hon doctor nurse rn md herr frau hr fr dr.med mme mlle
        monsieur madame mademoiselle señor señora sr sra srta dott signor signora ing mag rabbi imam pastor detective
        officer inspector attorney senator governor coach master mister missus miss
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
        aunt brother sister daughter son wife husband mother father friend neighbour neighbor colleague coworker
        partner roommate boss manager supervisor adviser advisor teller agent therapist pharmacist dentist landlord
        tenant fiancé fiancée fiance fiancee boyfriend girlfriend grandson granddaughter grandmother grandfather
        nephew niece caregiver guardian caretaker mom dad grandma grandpa stepson stepdaughter specialist counsellor
        counselor midwife paramedic nanny tutor accountant executor trustee beneficiary heir borrower co-borrower
        signatory applicant claimant insured employee secretary assistant cardiologist oncologist neurologist
        psychiatrist psychologist anesthesiologist anaesthetist radiologist pathologist urologist dermatologist
        endocrinologist gastroenterologist nephrologist pulmonologist rheumatologist gynecologist obstetrician
        pediatrician paediatrician ophthalmologist orthopedist podiatrist dietitian dietician nutritionist
        physiotherapist physio internist registrar intern houseman matron orderly technician phlebotomist interpreter
        chaplain caseworker worker carer coordinator clerk cashier officer underwriter adjuster handler passenger
        victim suspect complainant petitioner respondent deponent donor dependant dependent baby mum mummy mama mamma
        papa daddy nan nana gran granny auntie spouse ex ex-wife ex-husband ex-partner twin stepmother stepfather
        stepsister stepbrother stepchild half-sister half-brother mother-in-law father-in-law sister-in-law
        brother-in-law daughter-in-law son-in-law grandchild godmother godfather godson goddaughter housemate flatmate
        classmate teammate teacher lecturer student trainee apprentice dtr hubby missus
        """
    )
)
GREETINGS = frozenset(
    words(
        """
        dear hi hello hey greetings morning afternoon evening liebe lieber hallo welcome thanks goodbye bye moin servus
        thx ta cheers sorry congratulations geehrter geehrte querida querido estimado estimada cher chère ciao
        """
    )
)
# Names follow these, whatever they look like.
LABELS = phrases(
    """
    patient name, full name, first name, last name, given name, family name, middle name, maiden name, legal name,
    customer name, client name, account holder, card holder, cardholder, account name, name, names, name on card,
    holder, next of kin, emergency contact, responsible party, signed, signature, signed by, electronically signed by,
    authorized by, prepared by, dictated by, reviewed by, sender, approved by, attending physician, attending, referring
    physician, primary care physician, pcp, surname, provider, guarantor, policyholder, policy holder, subscriber name,
    member name, forename, nachname, vorname, insured name, payable to, payee, beneficiary name, recipient name, attn,
    attention, my name is, name's, employee name, contact name, contact person, nok, author, known as, a.k.a, /s/,
    spouse, in favour of, in favor of, on behalf of, pt name, witness, witnessed by, undersigned, nom, prénom, nombre,
    apellido, apellidos, cognome, alias, preferred name, nickname, policyholder name, name of patient, name of caller,
    guarantor name, tenant name, mother's name, father's name, mother's maiden name, parent name, guardian name, driver
    name, provider name, physician name
    """
)
# Names may follow these, or anything else.
CUES = phrases(
    """
    patient, pt, client, customer, from, cc, bcc, agent, doctor, nurse, caller, recipient, beneficiary, insured,
    subscriber, contact, physician, surgeon, therapist, applicant, borrower, spoke with, spoke to, speak with, speak to,
    speaking with, talked to, talked with, talk to, met with, seen by, referred by, referred to, accompanied by, ask
    for, named, discussed with, called, care of, written by, evaluated by, examined by, followed by, consulted,
    performed by, assisted by, spouse is, i am, i'm, this is, it's, here is, introduce, brought in by, informed,
    notified, contacted, cell for, employee, tenant, landlord, driver, owner, manager, relationship manager, for, to,
    re, by, transfer to, behalf of, regarding, paged, emailed, texted, messaged, told, asked, with, tell, tells, ask,
    asks, thank, thanked, remind, reminded, phoned, phone, rang, ring, meet, met, married, married to, divorced, engaged
    to, c/o, per, d/w, s/w, dw, spoke w, discussed w, reviewed w, handed over to, hand over to, handover to, passed to,
    given to, called to, reported to, escalated to, assigned to, addressed to, introduced to, sent to, wrote to, listen
    to, listened to, apologised to, apologized to, known to, explained to, under, admitted under, treated by, reviewed
    by, prescribed by, ordered by, completed by, interviewed by, supervised by, cared for by, driven by, picked up by,
    operated on by, operated by, delivered by, signed off by, handled by, cleared by, confirmed by, bleep, bleeped,
    page, cc'd, pt's, signed, sincerely, cared for, lives with, lived with, living with, stays with, staying with, says,
    said, whose, daughters, sons, sisters, brothers, children, kids, twins, parents, verified by, transcribed by,
    collected by, drawn by, reported by, entered by, interpreted by, requested by, cosigned by, co-signed by,
    countersigned by, checked by, received by, processed by, admitted by, discharged by, prescriber, ordering physician,
    ordering provider, requesting physician, consultant, requester, radiologist, pathologist, anesthesiologist,
    technologist, technician, phlebotomist, verified, dictated, transcribed, case manager, case worker, social worker,
    key worker, account manager, loan officer, assignee, adjuster, claims handler, underwriter, claimant, co-borrower,
    co-applicant, passenger, registered keeper, registered owner, vehicle owner, interpreter, parent, guardian,
    responsible clinician, gp, named nurse, informant, historian, complainant, respondent, petitioner, plaintiff,
    defendant, signatory, authorised by, authorised signatory, authorized signatory, originator, ordering customer,
    remitter, payer, drawer, versicherter, patientin, kontoinhaber, empfänger, absender, saw, helps, help, visit,
    visited, invited, née, nee, aka, goes by, nickname is, be called, baby boy, baby girl, hi there, hello there, hey
    there, present, attendees, apologies, witnesses, drivers, passengers, signatories, absent, chair, chaired by,
    minutes taken by, for seeing, for referring, parents of, account of, accompanied, remember, named after, via, bed,
    against, v, vs
    """
)
# Cues that stand before anything: a name after them has to look like one by itself, or to follow a colon.
VAGUE_CUES = frozenset(
    phrases(
        """
    cc, bcc, for, to, re, with, it's, called, regarding, contact, consulted, informed,
    driver, owner, followed by, this is, here is, i am, i'm, saw, helps, help, visit, visited, via, bed, against, v, vs,
    under, under care of, says, said, whose, per, phone, ring, page, signed, under, remember, sent to, known to
    """
    )
)
# A word before these is a person: it does what persons alone do.
PERSON_VERBS = frozenset(
    words(
        """
        said says told tells asked asks denies denied states stated agreed agrees disagreed thinks thought wants wanted
        phoned rang rings emailed e-mailed texted messaged wrote writes explained explains confirmed requested requests
        promised mentioned mentions insisted insists recalls recalled remembers remembered feels felt complains
        complained hopes hoped believes believed knows knew lives lived sleeps slept eats ate drinks drank smokes smoked
        walks walked drives drove visited visits attended attends arrived arrives verbalized verbalised ambulated
        refused refuses declined declines understands understood expressed weighs speaks spoke replied replies answered
        noticed notices takes took likes loves hates enjoys worries worried cried cries laughed smiled apologised
        apologized went came comes goes calls called signed resides moved died sat stood slipped fell vomited coughed
        speaking consented thanked admits admitted acknowledged presented presents underwent reports reported describes
        described travelled traveled owes paid pays married divorced retired weighed threatened swore wonders wondered
        hoped teaches studies studied plans planned intends intended decided decides chose chooses struggled nodded
        shrugged whispered shouted emigrated commutes seemed replies joked testified deposed drafted replied forgot
        forgets wishes wished prefers preferred tried tries appreciates
        """
    )
)
# Who speaks in a written dialogue, by what they are.
ROLES = frozenset(
    words(
        """
        agent caller user assistant system bot chatbot operator rep representative admin administrator moderator host
        interviewer interviewee clinician provider staff helpdesk support desk banker broker lender dispatcher
        receptionist triage speaker participant owner driver recipient contact advisor adviser consultant human ai
        question answer subject sender buyer seller vendor merchant passenger helper counsellor counselor guest tutor
        analyst auditor inspector examiner reviewer author narrator other unknown
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
        manoeuvre lymphoma sarcoma tumor tumour palsy fracture hospital clinic bank university college school
        institute foundation street avenue road lane drive boulevard inc llc ltd gmbh ag corp company co group center
        centre society association journal press county city state river lake mountain island park airport station
        church insurance mutual financial holdings partners services systems technologies pharmaceuticals health
        healthcare medical plan agency department ministry council committee act law rule model method equation
        theorem algorithm cell cells bodies catheter valve stain agar needle tube effect reflex phenomenon virus fever
        stage cup day prize award trial study project corporation airlines hotel restaurant pharmacy laboratory
        laboratories labs library museum regression transform distribution estimator curve ratio analysis contracture
        thyroiditis arthritis nodes ganglion chorea ulcer esophagus oesophagus duct loop canal gland tablet tablets
        capsule cream membrane gangrene kappa correlation coefficient exact alpha layer hernia aneurysm facies pouch
        space body gel injection spray building theatre stadium district region province bay beach hills valley
        heights harbor harbour springs falls ridge creek islands ocean sea desert protocol guideline guidelines
        declaration convention agreement treaty standard edition version software device devices pump monitor meter
        brand generic trials register registry survey questionnaire inventory interview checklist stent graft
        prosthesis implant splint technique approach incision angle ligament muscle artery vein nerve triad tetrad
        sequence repair lesion nodule node network airways tribune magazine review tunnel motorway orchestra
        chemotherapy regimen vaccine antibody antigen species genus mice rats
        """
    )
)
