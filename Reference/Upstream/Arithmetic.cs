// With which numerical habits is a pipeline evaluated?
namespace S2Attn.Reference.Upstream;

/// <summary>What an implementation's arithmetic does beside its stages; the default is the definition's.</summary>
public sealed record Arithmetic
{
    /// <summary>The definition's arithmetic.</summary>
    public static Arithmetic Exact { get; } = new();

    /// <summary>Rounds each partial sum of o; none in the default.</summary>
    public Func<double, double>? RoundSum { get; init; }

    /// <summary>Rounds each weight; none in the default.</summary>
    public Func<double, double>? RoundWeight { get; init; }

    /// <summary>exp of a score from which no maximum was subtracted; none where it is subtracted.</summary>
    public Func<double, double>? PlainExp { get; init; }

    /// <summary>What a score is replaced by before the softmax; none in the default.</summary>
    public Func<double, double>? Cap { get; init; }

    /// <summary>What the mask takes from hidden scores where it does no more than lower them; none in the default.</summary>
    public double? Lowering { get; init; }

    /// <summary>Whether -infinity is added to hidden scores, so that NaN and infinity in hidden keys reach the sum.</summary>
    public bool AddsMask { get; init; }

    /// <summary>Whether hidden values are multiplied by 0, so that NaN and infinity in them reach o.</summary>
    public bool MultipliesHidden { get; init; }
}
