// Which S2-Attn? Sizes, groups, shift, heads, mask and scale, validated once.
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>What a caller asks for; nothing is checked until <see cref="S2Config.TryCreate"/>.</summary>
public sealed record S2Request
{
    /// <summary>B, sequences in the batch.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>N, tokens of a sequence.</summary>
    public required int Tokens { get; init; }

    /// <summary>H, query heads.</summary>
    public int Heads { get; init; } = 1;

    /// <summary>K, key/value heads; H where not given. K divides H, and query head h reads kv head h / (H / K).</summary>
    public int? KvHeads { get; init; }

    /// <summary>D, elements of a head's vector.</summary>
    public required int HeadDim { get; init; }

    /// <summary>How G is chosen.</summary>
    public required GroupSizeRule GroupSize { get; init; }

    /// <summary>
    /// S, 0 &lt;= S &lt; G; the rule's default (G / 2) where not given. Where heads have shifts of their own (phases, or one each), S is the largest of these, and a given S must be that.
    /// </summary>
    public int? Shift { get; init; }

    /// <summary>The mask. There is no default: the choice is the one that ports hide and get wrong.</summary>
    public required MaskPolicy Mask { get; init; }

    /// <summary>Which query heads shift; LongLoRA's second half where not given.</summary>
    public HeadShift ShiftedHeads { get; init; } = HeadShift.SecondHalf;

    /// <summary>Factor of the scores; 1 / sqrt(D) where not given.</summary>
    public double? Scale { get; init; }

    /// <summary>P, 0 &lt;= P &lt;= N: the first tokens, which every query sees beside what the policy shows (<see cref="Prefixes"/>). 0: no prefix.</summary>
    public int Prefix { get; init; }

    /// <summary>Whether the prefix is seen whole, also by its own tokens; else these are sinks, of which a query under a causal policy sees none that comes after it.</summary>
    public bool IsPrefixWhole { get; init; }

    /// <summary>What is asked for one sequence of N tokens of a packed batch: see <see cref="GroupSizeRule.ResolvePacked"/>. Each has a prefix of its own first tokens.</summary>
    public S2Request OfPackedSequence(int tokens) => OfLength(tokens) with { Prefix = Math.Min(Prefix, tokens) };

    private S2Request OfLength(int tokens)
    {
        if (GroupSize is not GroupSizeRule.Explicit given)
            return this with { Batch = 1, Tokens = tokens };
        if (ShiftedHeads.HasOwnShifts)
            return this with
            {
                Batch = 1,
                Tokens = tokens,
                GroupSize = GroupSizeRule.Of(Math.Min(given.GroupSize, tokens)),
                Shift = null,
                ShiftedHeads = HeadShift.Each(Enumerable.Range(0, Heads).Select(head => ShiftedHeads.ShiftOf(head, Heads, given.GroupSize, 0)).Select(shift => shift < tokens ? shift : 0)),
            };
        (int groupSize, int shift) = GroupSize.ResolvePacked(tokens, Shift);
        return this with { Batch = 1, Tokens = tokens, GroupSize = GroupSizeRule.Of(groupSize), Shift = shift };
    }
}

/// <summary>Why a configuration cannot be built.</summary>
/// <param name="Field">The field of <see cref="S2Request"/>.</param>
/// <param name="Value">Its value.</param>
/// <param name="Rule">The rule that it breaks.</param>
public sealed record ConfigError(string Field, string Value, string Rule)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Field} = {Value}: {Rule}";
}

/// <summary>A configuration, or every rule that the request breaks.</summary>
public abstract record ConfigResult
{
    private ConfigResult() { }

    /// <summary>The request is a configuration.</summary>
    public sealed record Valid(S2Config Config) : ConfigResult;

    /// <summary>The request breaks these rules; there is at least one.</summary>
    public sealed record Invalid(ImmutableArray<ConfigError> Errors) : ConfigResult
    {
        /// <inheritdoc/>
        public override string ToString() => string.Join("; ", Errors);
    }
}

/// <summary>Thrown by <see cref="S2Config.Create"/> for a request that breaks a rule.</summary>
public sealed class InvalidConfigException : ArgumentException
{
    /// <summary>Creates the exception for these errors.</summary>
    public InvalidConfigException(ImmutableArray<ConfigError> errors)
        : base(string.Join("; ", errors)) => Errors = errors;

    /// <summary>Every rule that the request breaks.</summary>
    public ImmutableArray<ConfigError> Errors { get; }
}

/// <summary>A validated, immutable configuration: q [B,N,H,D], k and v [B,N,K,D], o [B,N,H,D].</summary>
public sealed record S2Config
{
    /// <summary>
    /// The largest number of elements of one tensor: the f32 numbers that the 47 bits of a process's address space hold. What an array or a span can hold
    /// is less, and the concern of those who take them.
    /// </summary>
    public static long MaxElements => 1L << 45;

    private S2Config(S2Request request, int groupSize, int shift)
    {
        Batch = request.Batch;
        Tokens = request.Tokens;
        Heads = request.Heads;
        KvHeads = request.KvHeads ?? request.Heads;
        HeadDim = request.HeadDim;
        GroupSize = groupSize;
        Shift = shift;
        Mask = request.Mask;
        ShiftedHeads = request.ShiftedHeads;
        Scale = request.Scale ?? 1 / Math.Sqrt(request.HeadDim);
        Prefix = request.Prefix;
        IsPrefixWhole = request.IsPrefixWhole && request.Prefix > 0;
    }

    /// <summary>B, sequences in the batch.</summary>
    public int Batch { get; }

    /// <summary>N, tokens of a sequence.</summary>
    public int Tokens { get; }

    /// <summary>H, query heads.</summary>
    public int Heads { get; }

    /// <summary>K, key/value heads.</summary>
    public int KvHeads { get; }

    /// <summary>D, elements of a head's vector.</summary>
    public int HeadDim { get; }

    /// <summary>G, tokens of a group.</summary>
    public int GroupSize { get; }

    /// <summary>S, by how many tokens a shifted head is shifted; the largest shift where heads have their own.</summary>
    public int Shift { get; }

    /// <summary>The mask policy.</summary>
    public MaskPolicy Mask { get; }

    /// <summary>Which query heads shift.</summary>
    public HeadShift ShiftedHeads { get; }

    /// <summary>Factor of the scores q.k.</summary>
    public double Scale { get; }

    /// <summary>P, the first tokens, which every query sees beside what the policy shows.</summary>
    public int Prefix { get; }

    /// <summary>Whether the prefix is seen whole, also by its own tokens; false without a prefix.</summary>
    public bool IsPrefixWhole { get; }

    /// <summary>By how much a query head shifts: S where it does, else 0, or its own shift.</summary>
    public int ShiftOf(int head) => ShiftedHeads.ShiftOf(head, Heads, GroupSize, Shift);

    /// <summary>The kv head that a query head reads: h / (H / K).</summary>
    public int KvHeadOf(int head) => IndexMaps.KvHead<Int, Bool>(Heads, KvHeads, head).ToIndex();

    /// <summary>Validates a request. Every broken rule is named, not only the first.</summary>
    public static ConfigResult TryCreate(S2Request request)
    {
        ArgumentNullException.ThrowIfNull(request);
        (int groupSize, int shift) = request.Tokens >= 1 && request.GroupSize is not null ? request.GroupSize.Resolve(request.Tokens) : (0, 0);
        ImmutableArray<ConfigError> errors = [.. Errors(request, groupSize, request.Shift ?? shift)];
        if (errors.IsEmpty)
            shift = LargestShift(request, groupSize, request.Shift ?? shift);
        return errors.IsEmpty
            ? new ConfigResult.Valid(new S2Config(request, groupSize, shift))
            : new ConfigResult.Invalid(errors);
    }

    /// <summary>The configuration of a request.</summary>
    /// <exception cref="InvalidConfigException">The request breaks a rule; the message names field, value and rule.</exception>
    public static S2Config Create(S2Request request) => TryCreate(request) switch
    {
        ConfigResult.Valid valid => valid.Config,
        ConfigResult.Invalid invalid => throw new InvalidConfigException(invalid.Errors),
        _ => throw new InvalidOperationException("A result is valid or invalid."),
    };

    /// <summary>The request that gives this configuration again, to vary it.</summary>
    public S2Request ToRequest() => new()
    {
        Batch = Batch,
        Tokens = Tokens,
        Heads = Heads,
        KvHeads = KvHeads,
        HeadDim = HeadDim,
        GroupSize = GroupSizeRule.Of(GroupSize),
        Shift = Shift,
        Mask = Mask,
        ShiftedHeads = ShiftedHeads,
        Scale = Scale,
        Prefix = Prefix,
        IsPrefixWhole = IsPrefixWhole,
    };

    private static int LargestShift(S2Request request, int groupSize, int shift) => request.ShiftedHeads.HasOwnShifts
        ? Enumerable.Range(0, request.Heads).Max(head => request.ShiftedHeads.ShiftOf(head, request.Heads, groupSize, shift))
        : shift;

    private static IEnumerable<ConfigError> Errors(S2Request request, int groupSize, int shift)
    {
        (string Field, int Value)[] sizes =
        [
            (nameof(request.Batch), request.Batch),
            (nameof(request.Tokens), request.Tokens),
            (nameof(request.Heads), request.Heads),
            (nameof(request.KvHeads), request.KvHeads ?? request.Heads),
            (nameof(request.HeadDim), request.HeadDim),
        ];
        bool sizesPositive = true;
        foreach ((string field, int value) in sizes.Where(size => size.Value < 1))
        {
            sizesPositive = false;
            yield return Error(field, value, "must be at least 1");
        }

        if (request.GroupSize is null)
            yield return Error(nameof(request.GroupSize), "null", "must be given");
        if (request.ShiftedHeads is null)
            yield return Error(nameof(request.ShiftedHeads), "null", "must be given");
        if (!Enum.IsDefined(request.Mask))
            yield return Error(nameof(request.Mask), (int)request.Mask, "must be one of " + string.Join(", ", MaskPolicies.All));
        if (request.Scale is { } scale && !double.IsFinite(scale))
            yield return Error(nameof(request.Scale), scale, "must be finite");
        if (request.ShiftedHeads is HeadShift.Given given && (given.Flags.IsDefault || given.Flags.Length != request.Heads))
            yield return Error(nameof(request.ShiftedHeads), given.Flags.IsDefault ? "default" : given, $"must hold one flag for each of the {request.Heads} query heads");
        if (request.ShiftedHeads is HeadShift.ByEach each && (each.Shifts.IsDefault || each.Shifts.Length != request.Heads))
            yield return Error(nameof(request.ShiftedHeads), each.Shifts.IsDefault ? "default" : each, $"must hold one shift for each of the {request.Heads} query heads");
        if (request.ShiftedHeads is HeadShift.InPhases { Count: < 1 } phased)
            yield return Error(nameof(request.ShiftedHeads), phased, "must have at least 1 phase");
        if (request.Prefix < 0)
            yield return Error(nameof(request.Prefix), request.Prefix, "must be at least 0");
        if (!sizesPositive)
            yield break;

        if (request.Prefix > request.Tokens)
            yield return Error(nameof(request.Prefix), request.Prefix, $"must be at most Tokens = {request.Tokens}");
        int kvHeads = request.KvHeads ?? request.Heads;
        if (request.Heads % kvHeads != 0)
            yield return Error(nameof(request.KvHeads), kvHeads, $"must divide Heads = {request.Heads}");
        if ((Int128)request.Batch * request.Tokens * request.Heads * request.HeadDim > MaxElements)
            yield return Error(
                "Batch*Tokens*Heads*HeadDim",
                FormattableString.Invariant($"{request.Batch}*{request.Tokens}*{request.Heads}*{request.HeadDim}"),
                FormattableString.Invariant($"must be at most {MaxElements}, the f32 elements of an address space"));

        if (request.GroupSize is null)
            yield break;
        if (groupSize < 1 || groupSize > request.Tokens)
        {
            yield return Error(nameof(request.GroupSize), groupSize, $"must be from 1 to Tokens = {request.Tokens}");
            yield break;
        }

        bool mustDivide = request.GroupSize is GroupSizeRule.Ratio || !request.Mask.CutsWrappedRun();
        if (mustDivide && request.Tokens % groupSize != 0)
            yield return Error(
                nameof(request.GroupSize), groupSize, $"must divide Tokens = {request.Tokens} under {(request.GroupSize is GroupSizeRule.Ratio ? "the ratio rule" : request.Mask)}");
        if (shift < 0 || shift >= groupSize)
            yield return Error(nameof(request.Shift), shift, $"must be from 0 to GroupSize - 1 = {groupSize - 1}");
        if (request.ShiftedHeads is HeadShift.ByEach own && !own.Shifts.IsDefault && own.Shifts.Any(amount => amount < 0 || amount >= groupSize))
            yield return Error(nameof(request.ShiftedHeads), own, $"must hold shifts from 0 to GroupSize - 1 = {groupSize - 1}");
        else if (request.Shift is { } asked && HasShifts(request) && asked != LargestShift(request, groupSize, asked))
            yield return Error(nameof(request.Shift), asked, $"must not be given, or be {LargestShift(request, groupSize, asked)}, the largest shift of {request.ShiftedHeads}");
    }

    // Whether the heads have shifts of their own, and no rule about them is broken.
    private static bool HasShifts(S2Request request) => request.ShiftedHeads switch
    {
        HeadShift.InPhases phased => phased.Count >= 1,
        HeadShift.ByEach each => !each.Shifts.IsDefault && each.Shifts.Length == request.Heads,
        _ => false,
    };

    private static ConfigError Error(string field, object value, string rule) =>
        new(field, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "", rule);
}
