// What do ports do wrong beside the structure: with NaN, with overflow, in half precision, from call to call?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Ports;

/// <summary>A habit of a port's arithmetic, which leaves it the structure that it has.</summary>
/// <param name="Name">Its name in reports, and behind "mutant:".</param>
/// <param name="What">What is wrong, in one sentence.</param>
/// <param name="Fix">What the author is to change, in one sentence.</param>
/// <param name="Arithmetic">How a format is computed in.</param>
public sealed record NumericalHabit(string Name, string What, string Fix, Func<ElementType, Arithmetic> Arithmetic)
{
    /// <summary>Whether other bits come now and then.</summary>
    public bool IsNoisy { get; init; }

    /// <summary>Whether rows without keys keep what the call before left in the buffer.</summary>
    public bool IsStale { get; init; }

    /// <summary>Whether q, k and v are rounded to binary16 first.</summary>
    public bool IsOfHalves { get; init; }

    /// <summary>All habits that the suite knows.</summary>
    public static ImmutableArray<NumericalHabit> All { get; } =
    [
        new("masked-nan-spreads", "Hidden values are multiplied by a weight of 0, so NaN and infinity in them reach o.", "Leave hidden values out of the sum instead of multiplying them by 0.",
            _ => new() { MultipliesHidden = true }),
        new("mask-is-added", "The mask is added, so NaN and infinity in hidden keys and values reach o.", "Select instead of adding -infinity, and leave hidden values out of the sum.",
            _ => new() { AddsMask = true, MultipliesHidden = true }),
        new("softmax-without-max", "exp is taken of the scores themselves and overflows.", "Subtract the greatest score of the row before exp.",
            type => new() { PlainExp = type is ElementType.F64 ? Math.Exp : score => MathF.Exp((float)score) }),
        new("maximum-begins-at-zero", "The greatest score of a row is looked for from 0 upwards, so that exp underflows where all scores are far below 0, and 0 is divided by 0.",
            "Begin at -infinity, or at the first score: std::numeric_limits<float>::min() and FLT_MIN are the least number above 0; lowest() and -FLT_MAX are meant.",
            type => new() { PlainExp = type is ElementType.F64 ? Math.Exp : score => score < -104 ? 0 : Math.Exp(score) }),
        new("scores-capped", "Great scores are capped, softly as by 50 tanh(score / 50).", "Leave the scores as they are: a cap belongs to the models that were trained with one.", _ => new() { Cap = score => 50 * Math.Tanh(score / 50) }),
        new("mask-lowers-by-100", "The mask takes 100 from hidden scores, so that a hidden key of a great score is seen.", "Hide by -infinity, or by the least number of the type: scores of a trained model differ by more than 100 now and then.",
            _ => new() { Lowering = 100 }),
        new("f64-computed-in-f32", "f64 is computed in f32, or the softmax is cast to it.", "Compute f64 in f64 (softmax(..., dtype=torch.float32) rounds it), or do not declare it.",
            type => type is ElementType.F64 ? new() { RoundWeight = weight => (float)weight } : Reference.Upstream.Arithmetic.Exact),
        new("accumulates-in-f16", "o is summed up in binary16.", "Accumulate in f32 at least.", _ => new() { RoundSum = sum => (double)(Half)sum }),
        new("inputs-in-half", "q, k and v are rounded to binary16 whatever they are given in.", "Leave q, k and v in the type that they come in; a half() or autocast before a kernel that takes 16 bits alone belongs to the declaration: dtypes f16.",
            _ => Reference.Upstream.Arithmetic.Exact) { IsOfHalves = true },
        new("weights-in-bf16", "The weights are rounded to bfloat16.", "Keep the weights in f32 until they have met v, or declare bf16 only.", _ => new() { RoundWeight = weight => ElementType.BF16.Round(weight) }),
        new("nondeterministic", "The same call gives other bits now and then.", "Sum in an order that does not depend on the schedule.", _ => Reference.Upstream.Arithmetic.Exact) { IsNoisy = true },
        new("stale-empty-rows", "A row that sees no key keeps what the output buffer held.", "Write 0 to the rows that see no key.", _ => Reference.Upstream.Arithmetic.Exact) { IsStale = true },
    ];

    /// <inheritdoc/>
    public override string ToString() => Name;
}
