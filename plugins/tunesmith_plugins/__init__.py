"""The built-in plugins, found through the same entry point as anybody else's."""

from collections.abc import Iterable

from tunesmith import Adapter, Audit, Curator, Evaluator, Formatter, Objective, Regularizer, hookimpl


@hookimpl
def tunesmith_register_formatters() -> Iterable[type[Formatter]]:
    """The formatters of this package."""
    from tunesmith_plugins.formatters.auto import Auto
    from tunesmith_plugins.formatters.context_qa import ContextQA
    from tunesmith_plugins.formatters.instruction import Instruction
    from tunesmith_plugins.formatters.label_studio import LabelStudio
    from tunesmith_plugins.formatters.messages import Messages
    from tunesmith_plugins.formatters.multiple_choice import MultipleChoice
    from tunesmith_plugins.formatters.parent_chain import ParentChain
    from tunesmith_plugins.formatters.preference import Preference
    from tunesmith_plugins.formatters.prodigy import Prodigy
    from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
    from tunesmith_plugins.formatters.prompt_only import PromptOnly
    from tunesmith_plugins.formatters.query_response import QueryResponse
    from tunesmith_plugins.formatters.ranked_answers import RankedAnswers
    from tunesmith_plugins.formatters.raw_text import RawText
    from tunesmith_plugins.formatters.segments import Segments
    from tunesmith_plugins.formatters.share_gpt import ShareGPT
    from tunesmith_plugins.formatters.stepwise import Stepwise
    from tunesmith_plugins.formatters.template import Template
    from tunesmith_plugins.formatters.text_label import TextLabel
    from tunesmith_plugins.formatters.unpaired_preference import UnpairedPreference

    return [
        Auto,
        Template,
        PromptCompletion,
        Instruction,
        QueryResponse,
        ContextQA,
        MultipleChoice,
        Messages,
        ShareGPT,
        Segments,
        RawText,
        ParentChain,
        Preference,
        RankedAnswers,
        UnpairedPreference,
        Stepwise,
        PromptOnly,
        TextLabel,
        LabelStudio,
        Prodigy,
    ]


@hookimpl
def tunesmith_register_curators() -> Iterable[type[Curator]]:
    """The curators of this package."""
    from tunesmith_plugins.curators.anonymise import Anonymise
    from tunesmith_plugins.curators.balance import Balance
    from tunesmith_plugins.curators.boilerplate import Boilerplate
    from tunesmith_plugins.curators.clean import Clean
    from tunesmith_plugins.curators.consistency import Consistency
    from tunesmith_plugins.curators.contradictions import Contradictions
    from tunesmith_plugins.curators.counterfactual_augment import CounterfactualAugment
    from tunesmith_plugins.curators.decontaminate import Decontaminate
    from tunesmith_plugins.curators.diversity import Diversity
    from tunesmith_plugins.curators.exact_duplicates import ExactDuplicates
    from tunesmith_plugins.curators.label_errors import LabelErrors
    from tunesmith_plugins.curators.language import Language
    from tunesmith_plugins.curators.length import Length
    from tunesmith_plugins.curators.near_duplicates import NearDuplicates
    from tunesmith_plugins.curators.outliers import Outliers
    from tunesmith_plugins.curators.reweigh import Reweigh
    from tunesmith_plugins.curators.semantic_duplicates import SemanticDuplicates
    from tunesmith_plugins.curators.synthesise import Synthesise

    return [
        Clean,
        Boilerplate,
        Length,
        Language,
        Consistency,
        Anonymise,
        ExactDuplicates,
        NearDuplicates,
        SemanticDuplicates,
        Contradictions,
        Decontaminate,
        Balance,
        CounterfactualAugment,
        Reweigh,
        LabelErrors,
        Outliers,
        Diversity,
        Synthesise,
    ]


@hookimpl
def tunesmith_register_objectives() -> Iterable[type[Objective]]:
    """The training objectives of this package."""
    from tunesmith_plugins.objectives.classification import Classification
    from tunesmith_plugins.objectives.domain_text import DomainText
    from tunesmith_plugins.objectives.kto import KTO
    from tunesmith_plugins.objectives.masked_token import MaskedToken
    from tunesmith_plugins.objectives.next_token import NextToken
    from tunesmith_plugins.objectives.preference import Preference
    from tunesmith_plugins.objectives.unlikelihood import Unlikelihood

    return [
        NextToken,
        DomainText,
        Preference,
        KTO,
        Unlikelihood,
        Classification,
        MaskedToken,
    ]


@hookimpl
def tunesmith_register_adapters() -> Iterable[type[Adapter]]:
    """The adapters of this package."""
    from tunesmith_plugins.adapters.adalora import AdaLoRA
    from tunesmith_plugins.adapters.bitfit import BitFit
    from tunesmith_plugins.adapters.freeze import Freeze
    from tunesmith_plugins.adapters.full import Full
    from tunesmith_plugins.adapters.lora import LoRA
    from tunesmith_plugins.adapters.peft import Peft
    from tunesmith_plugins.adapters.prefix_tuning import PrefixTuning
    from tunesmith_plugins.adapters.prompt_tuning import PromptTuning
    from tunesmith_plugins.adapters.qlora import QLoRA

    return [
        Full,
        Freeze,
        BitFit,
        LoRA,
        QLoRA,
        AdaLoRA,
        PromptTuning,
        PrefixTuning,
        Peft,
    ]


@hookimpl
def tunesmith_register_regularizers() -> Iterable[type[Regularizer]]:
    """The regularizers of this package."""
    from tunesmith_plugins.regularizers.adversarial_debiasing import AdversarialDebiasing
    from tunesmith_plugins.regularizers.counterfactual_consistency import CounterfactualConsistency
    from tunesmith_plugins.regularizers.ewc import EWC
    from tunesmith_plugins.regularizers.kl_to_base import KLToBase
    from tunesmith_plugins.regularizers.l2sp import L2SP
    from tunesmith_plugins.regularizers.label_smoothing import LabelSmoothing
    from tunesmith_plugins.regularizers.neftune import NEFTune
    from tunesmith_plugins.regularizers.rdrop import RDrop
    from tunesmith_plugins.regularizers.replay import Replay

    return [
        KLToBase,
        L2SP,
        EWC,
        Replay,
        LabelSmoothing,
        RDrop,
        NEFTune,
        CounterfactualConsistency,
        AdversarialDebiasing,
    ]


@hookimpl
def tunesmith_register_audits() -> Iterable[type[Audit]]:
    """The audits of this package."""
    from tunesmith_plugins.audits.ambiguity import Ambiguity
    from tunesmith_plugins.audits.association import Association
    from tunesmith_plugins.audits.counterfactual_swap import CounterfactualSwap
    from tunesmith_plugins.audits.label_parity import LabelParity
    from tunesmith_plugins.audits.measure_parity import MeasureParity
    from tunesmith_plugins.audits.occupation import Occupation
    from tunesmith_plugins.audits.proxy import Proxy
    from tunesmith_plugins.audits.quality_parity import QualityParity
    from tunesmith_plugins.audits.refusal import Refusal
    from tunesmith_plugins.audits.representation import Representation
    from tunesmith_plugins.audits.stereotype_pairs import StereotypePairs
    from tunesmith_plugins.audits.stereotypes import Stereotypes
    from tunesmith_plugins.audits.toxicity import Toxicity

    return [
        Representation,
        LabelParity,
        Association,
        QualityParity,
        Proxy,
        Stereotypes,
        Toxicity,
        CounterfactualSwap,
        StereotypePairs,
        Ambiguity,
        Occupation,
        Refusal,
        MeasureParity,
    ]


@hookimpl
def tunesmith_register_evaluators() -> Iterable[type[Evaluator]]:
    """The evaluators of this package."""
    from tunesmith_plugins.evaluators.bleu import BLEU
    from tunesmith_plugins.evaluators.chrf import ChrF
    from tunesmith_plugins.evaluators.classification import Classification
    from tunesmith_plugins.evaluators.composite import Composite
    from tunesmith_plugins.evaluators.cost import Cost
    from tunesmith_plugins.evaluators.critical_errors import CriticalErrors
    from tunesmith_plugins.evaluators.edit_effort import EditEffort
    from tunesmith_plugins.evaluators.entailment import Entailment
    from tunesmith_plugins.evaluators.exact_match import ExactMatch
    from tunesmith_plugins.evaluators.extraction import Extraction
    from tunesmith_plugins.evaluators.forgetting import Forgetting
    from tunesmith_plugins.evaluators.format import Format
    from tunesmith_plugins.evaluators.grounding import Grounding
    from tunesmith_plugins.evaluators.latency import Latency
    from tunesmith_plugins.evaluators.memorisation import Memorisation
    from tunesmith_plugins.evaluators.multi_label import MultiLabel
    from tunesmith_plugins.evaluators.perplexity import Perplexity
    from tunesmith_plugins.evaluators.preference_accuracy import PreferenceAccuracy
    from tunesmith_plugins.evaluators.ratings import Ratings
    from tunesmith_plugins.evaluators.readability import Readability
    from tunesmith_plugins.evaluators.rouge import ROUGE
    from tunesmith_plugins.evaluators.rubric import Rubric
    from tunesmith_plugins.evaluators.semantic_similarity import SemanticSimilarity
    from tunesmith_plugins.evaluators.style import Style
    from tunesmith_plugins.evaluators.token_f1 import TokenF1

    return [
        ROUGE,
        BLEU,
        ChrF,
        ExactMatch,
        TokenF1,
        Classification,
        MultiLabel,
        Perplexity,
        PreferenceAccuracy,
        Readability,
        CriticalErrors,
        Composite,
        Cost,
        Forgetting,
        Memorisation,
        Latency,
        Rubric,
        Ratings,
        Grounding,
        EditEffort,
        Format,
        Extraction,
        Style,
        SemanticSimilarity,
        Entailment,
    ]
