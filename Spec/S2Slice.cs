// Which part of a sequence is computed, and which keys are there for it?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>What a caller asks for; nothing is checked until <see cref="S2Slice.TryCreate"/>.</summary>
public sealed record SliceRequest
{
    /// <summary>t0, the first query.</summary>
    public required int FirstQuery { get; init; }

    /// <summary>t1, the end of the queries: one more than the last.</summary>
    public required int EndQuery { get; init; }

    /// <summary>u0, the first key that is there; t0's first needed key where not given.</summary>
    public int? FirstKey { get; init; }

    /// <summary>The end of the keys that are there; what the queries need where not given: t1 under Split.</summary>
    public int? EndKey { get; init; }

    /// <summary>Whether the text may still grow: N is then not known, and only a prefix-stable mask can be evaluated. Queries may lie behind the configuration's N.</summary>
    public bool IsUnbounded { get; init; }
}

/// <summary>A slice, or every rule that the request breaks.</summary>
public abstract record SliceResult
{
    private SliceResult() { }

    /// <summary>The request is a slice.</summary>
    public sealed record Valid(S2Slice Slice) : SliceResult;

    /// <summary>The request breaks these rules; there is at least one.</summary>
    public sealed record Invalid(ImmutableArray<ConfigError> Errors) : SliceResult
    {
        /// <inheritdoc/>
        public override string ToString() => string.Join("; ", Errors);
    }
}

/// <summary>
/// Queries [t0, t1) of a sequence with the keys [u0, u1) that are there for them: q and o [B,t1-t0,H,D], k and v [B,u1-u0,K,D]. Every key that a query sees is there.
/// </summary>
public sealed record S2Slice
{
    private S2Slice(S2Config config, TokenRange<int> queries, TokenRange<int> keys, bool isUnbounded) =>
        (Config, Queries, Keys, IsUnbounded) = (config, queries, keys, isUnbounded);

    /// <summary>Heads, D, G, S, mask and scale; its N is that of the whole sequence unless the slice is unbounded.</summary>
    public S2Config Config { get; }

    /// <summary>[t0, t1).</summary>
    public TokenRange<int> Queries { get; }

    /// <summary>[u0, u1).</summary>
    public TokenRange<int> Keys { get; }

    /// <summary>Whether N is not known.</summary>
    public bool IsUnbounded { get; }

    /// <summary>t1 - t0.</summary>
    public int QueryCount => Queries.End - Queries.Start;

    /// <summary>u1 - u0.</summary>
    public int KeyCount => Keys.End - Keys.Start;

    /// <summary>The whole sequence.</summary>
    public static S2Slice Whole(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new(config, new(0, config.Tokens), new(0, config.Tokens), isUnbounded: false);
    }

    /// <summary>Whether query t of query head h sees key u, both counted from the start of the sequence, without key padding.</summary>
    public bool Visible(int head, int t, int u) =>
        IsUnbounded ? Prefixes.Visible<Int, Bool>(Config.IsPrefixWhole, Config.GroupSize, Config.ShiftOf(head), Config.Prefix, t, u) : Visibility.Visible(Config, head, t, u);

    /// <summary>The same for many queries and keys of the slice, of a query head: what depends on one token alone is computed once for each token.</summary>
    public Func<int, int, bool> VisibleIn(int head)
    {
        (S2Config config, int shift, int first) = (Config, Config.ShiftOf(head), Keys.Start);
        if (IsUnbounded)
            return (t, u) => Visible(head, t, u);
        TokenPlace<Int, Bool>[] places = [.. Enumerable.Range(first, KeyCount).Select(token => Visibility.Place<Int, Bool>(config.Tokens, config.GroupSize, shift, token))];
        return (t, u) => Prefixes.Visible(config.Mask, config.IsPrefixWhole, config.Prefix, places[t - first], places[u - first]);
    }

    /// <summary>Validates a request. Every broken rule is named, not only the first.</summary>
    public static SliceResult TryCreate(S2Config config, SliceRequest request)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(request);
        ImmutableArray<ConfigError> errors = [.. QueryErrors(config, request)];
        if (!errors.IsEmpty)
            return new SliceResult.Invalid(errors);
        TokenRange<int> needed = Needed(config, request);
        TokenRange<int> keys = new(request.FirstKey ?? needed.Start, request.EndKey ?? needed.End);
        errors = [.. KeyErrors(config, request, needed, keys)];
        return errors.IsEmpty
            ? new SliceResult.Valid(new S2Slice(config, new(request.FirstQuery, request.EndQuery), keys, request.IsUnbounded))
            : new SliceResult.Invalid(errors);
    }

    /// <summary>The slice of a request.</summary>
    /// <exception cref="InvalidConfigException">The request breaks a rule; the message names field, value and rule.</exception>
    public static S2Slice Create(S2Config config, SliceRequest request) => TryCreate(config, request) switch
    {
        SliceResult.Valid valid => valid.Slice,
        SliceResult.Invalid invalid => throw new InvalidConfigException(invalid.Errors),
        _ => throw new InvalidOperationException("A result is valid or invalid."),
    };

    private static IEnumerable<ConfigError> QueryErrors(S2Config config, SliceRequest request)
    {
        if (request.IsUnbounded && !config.Mask.IsPrefixStable())
            yield return new(nameof(request.IsUnbounded), "true", $"must be false under {config.Mask}: what a query sees depends on N");
        if (request.FirstQuery < 0)
            yield return Error(nameof(request.FirstQuery), request.FirstQuery, "must be at least 0");
        if (request.EndQuery <= request.FirstQuery)
            yield return Error(nameof(request.EndQuery), request.EndQuery, $"must be more than FirstQuery = {request.FirstQuery}");
        if (!request.IsUnbounded && request.EndQuery > config.Tokens)
            yield return Error(nameof(request.EndQuery), request.EndQuery, $"must be at most Tokens = {config.Tokens}");
    }

    private static IEnumerable<ConfigError> KeyErrors(S2Config config, SliceRequest request, TokenRange<int> needed, TokenRange<int> keys)
    {
        if (keys.Start < 0 || keys.Start > needed.Start)
            yield return Error(nameof(request.FirstKey), keys.Start, $"must be from 0 to {needed.Start}, the first key that a query of the slice sees{(config.Prefix > 0 ? $" of a prefix of {config.Prefix}" : "")}");
        if (keys.End < needed.End)
            yield return Error(nameof(request.EndKey), keys.End, $"must be at least {needed.End}, behind the last key that a query of the slice sees");
        if (!request.IsUnbounded && keys.End > config.Tokens)
            yield return Error(nameof(request.EndKey), keys.End, $"must be at most Tokens = {config.Tokens}");
    }

    private static TokenRange<int> Needed(S2Config config, SliceRequest request)
    {
        if (!request.IsUnbounded)
            return Slices.KeysNeeded(config, request.FirstQuery, request.EndQuery);
        if (config.Prefix > 0)
            return new(0, config.IsPrefixWhole ? Math.Max(request.EndQuery, config.Prefix) : request.EndQuery);
        return new(Enumerable.Range(0, config.KvHeads).Min(kvHead => Slices.FirstKeyNeeded(config, kvHead, request.FirstQuery)), request.EndQuery);
    }

    private static ConfigError Error(string field, int value, string rule) => new(field, value.ToString(CultureInfo.InvariantCulture), rule);
}
