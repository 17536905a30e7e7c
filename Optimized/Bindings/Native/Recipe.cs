// What does a caller of C ask for? Every field is checked here, under the name that it has in s2attn.h, before anything is planned.
using System.Collections.Immutable;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Native;

/// <summary>Thrown for an argument that breaks a rule; the message names it as s2attn.h does.</summary>
internal sealed class NativeArgumentException(string message) : Exception(message);

/// <summary>Thrown for what this build of the kernels does not compute.</summary>
internal sealed class NativeUnsupportedException(string message) : Exception(message);

/// <summary>S2ATTN_DTYPE_*.</summary>
internal enum DType
{
    F32 = 1,
    F16 = 2,
    BF16 = 3,
}

/// <summary>A checked configuration.</summary>
internal sealed record Recipe(S2Request Request, S2AttentionOptions Options, ImmutableArray<int> CumulativeLengths, DType DType, DType GradientDType)
{
    /// <summary>S2ATTN_NEEDED.</summary>
    public const long Needed = -1;

    private const long DefaultShift = -1;

    /// <summary>S2ATTN_PREFIX_WHOLE.</summary>
    private const int WholePrefix = 1 << 30;

    /// <summary>The part of the sequence that is asked, where it is not the whole.</summary>
    public S2Slice? Slice { get; init; }

    /// <summary>The axes on which the tokens stand, where there are some.</summary>
    public S2Grid? Grid { get; init; }

    /// <summary>Plans it.</summary>
    public S2AttentionPlan Plan(S2AttentionOptions options) =>
        Grid is not null ? S2AttentionPlan.OfGrid(Grid, options)
        : Slice is not null ? S2AttentionPlan.OfSlice(Slice, options)
        : CumulativeLengths.IsDefault ? new(S2Config.Create(Request), options)
        : S2AttentionPlan.Packed(Request, CumulativeLengths.AsSpan(), options);

    /// <summary>Bytes of the sums behind gradients that are rounded to a half format: dk and dv in f32.</summary>
    public long GradientSumBytes(S2Config config) => GradientDType == DType.F32 ? 0 : 2L * sizeof(float) * config.Batch * (Slice?.KeyCount ?? config.Tokens) * config.KvHeads * config.HeadDim;

    /// <summary>Reads a configuration and the part of its sequence that is asked.</summary>
    /// <exception cref="NativeArgumentException">A field breaks a rule.</exception>
    /// <exception cref="InvalidConfigException">The configuration or the slice breaks a rule.</exception>
    /// <exception cref="NativeUnsupportedException">A field asks for what there is no kernel for.</exception>
    public static unsafe Recipe Read(NativeConfig* given, NativeSlice* slice)
    {
        Recipe whole = Read(given);
        if (slice == null)
            throw new NativeArgumentException("slice is NULL");
        if (slice->StructSize != sizeof(NativeSlice))
            throw new NativeArgumentException($"slice.struct_size = {slice->StructSize}: must be sizeof(s2attn_slice) = {sizeof(NativeSlice)}");
        if (slice->Reserved != 0)
            throw NotIn("slice.reserved", slice->Reserved, "0");
        S2Slice part = S2Slice.Create(S2Config.Create(whole.Request), new()
        {
            FirstQuery = Size("first_query", slice->FirstQuery),
            EndQuery = Size("end_query", slice->EndQuery),
            FirstKey = slice->FirstKey == Needed ? null : Size("first_key", slice->FirstKey),
            EndKey = slice->EndKey == Needed ? null : Size("end_key", slice->EndKey),
            IsUnbounded = slice->IsUnbounded != 0,
        });
        return whole with { Slice = part, Options = OptionsOf(given, whole.Request, whole.Options.Layout, part.QueryCount, part.KeyCount) };
    }

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="NativeArgumentException">A field breaks a rule.</exception>
    /// <exception cref="NativeUnsupportedException">A field asks for what there is no kernel for.</exception>
    public static unsafe Recipe Read(NativeConfig* given)
    {
        if (given == null)
            throw new NativeArgumentException("config is NULL");
        if (given->StructSize != sizeof(NativeConfig))
            throw new NativeArgumentException(
                $"config.struct_size = {given->StructSize}: must be sizeof(s2attn_config) = {sizeof(NativeConfig)}; call s2attn_config_init, and build with the s2attn.h of this library or an older one");
        NativeConfig config = *given;
        int heads = Size("heads", config.Heads);
        S2Request request = new()
        {
            Batch = Size("batch", config.Batch),
            Tokens = Size("tokens", config.Tokens),
            Heads = heads,
            KvHeads = config.KvHeads == 0 ? null : Size("kv_heads", config.KvHeads),
            HeadDim = Size("head_dim", config.HeadDim),
            GroupSize = config.GroupRule switch
            {
                0 => GroupSizeRule.Of(Size("group_size", config.GroupSize)),
                1 when config.GroupRatio is > 0 and <= 1 => new GroupSizeRule.Ratio(config.GroupRatio),
                1 => throw new NativeArgumentException(FormattableString.Invariant($"group_ratio = {config.GroupRatio}: must be greater than 0 and at most 1")),
                2 => GroupSizeRule.LongLoraSft,
                _ => throw NotIn("group_rule", config.GroupRule, "one of S2ATTN_GROUP_*"),
            },
            Shift = config.Shift == DefaultShift ? null : Size("shift", config.Shift),
            Mask = MaskOf(config.Mask),
            ShiftedHeads = config.ShiftedHeads switch
            {
                0 => HeadShift.SecondHalf,
                1 => HeadShift.None,
                2 => HeadShift.All,
                3 => HeadShift.Of(Given(config.Shifted, heads, "shifted", "S2ATTN_HEADS_FLAGS needs one flag").ToArray().Select(flag => flag != 0)),
                4 => HeadShift.Each(Given((long*)config.Shifted, heads, "shifts", "S2ATTN_HEADS_SHIFTS needs one shift").ToArray().Select((shift, head) => Size($"shifts[{head}]", shift))),
                _ => throw NotIn("shifted_heads", config.ShiftedHeads, "one of S2ATTN_HEADS_*"),
            },
            Scale = double.IsNaN(config.Scale) ? null : config.Scale,
            Prefix = config.Prefix < 0 ? config.Prefix : config.Prefix & ~WholePrefix,
            IsPrefixWhole = config.Prefix > 0 && (config.Prefix & WholePrefix) != 0,
        };
        if (config.ValueDim != 0 && config.ValueDim != config.HeadDim)
            throw new NativeUnsupportedException($"value_dim = {config.ValueDim}: must be 0 or head_dim = {config.HeadDim}");
        if (config.Threads < 0)
            throw NotIn("threads", config.Threads, "at least 1, or 0 for the processors of the machine");
        DType type = TypeOf("dtype", config.DType);
        DType gradient = config.GradientDType == 0 ? DType.F32 : TypeOf("gradient_dtype", config.GradientDType);
        if (gradient != DType.F32 && gradient != type)
            throw NotIn("gradient_dtype", config.GradientDType, $"S2ATTN_DTYPE_F32 or dtype = {config.DType}");
        TensorLayout layout = config.Layout switch
        {
            0 => TensorLayout.TokenMajor,
            1 => TensorLayout.HeadMajor,
            _ => throw NotIn("layout", config.Layout, "one of S2ATTN_LAYOUT_*"),
        };
        return new(request, OptionsOf(given, request, layout, request.Tokens, request.Tokens), default, type, gradient);
    }

    private static unsafe S2AttentionOptions OptionsOf(NativeConfig* config, S2Request request, TensorLayout layout, int queryTokens, int keyTokens)
    {
        TensorStrides queries = TensorStrides.Dense(layout, queryTokens, request.Heads, request.HeadDim);
        TensorStrides keys = TensorStrides.Dense(layout, keyTokens, request.KvHeads ?? request.Heads, request.HeadDim);
        return new()
        {
            Threads = config->Threads == 0 ? null : config->Threads,
            Layout = layout,
            Query = Strides(config->Query),
            Key = Strides(config->Key),
            Value = Strides(config->Value),
            Output = Strides(config->Output),
            LogSumExp = Strides(config->LogSumExp),
            LogSumExpGradient = Strides(config->LogSumExp),
            OutputGradient = Strides(config->OutputGradient) ?? Strides(config->Output),
            QueryGradient = Strides(config->QueryGradient) ?? queries,
            KeyGradient = Strides(config->KeyGradient) ?? keys,
            ValueGradient = Strides(config->ValueGradient) ?? keys,
        };
    }

    /// <summary>The recipe for packed sequences.</summary>
    /// <exception cref="NativeArgumentException">An argument breaks a rule.</exception>
    public unsafe Recipe Packed(void* cumulative, long count, int indexType)
    {
        if (cumulative == null)
            throw new NativeArgumentException("cu_seqlens is NULL");
        if (count < 1 || count > Array.MaxLength)
            throw new NativeArgumentException($"count = {count}: must be from 1 to {Array.MaxLength}: cu_seqlens holds one value more than there are sequences");
        if (indexType is not (0 or 1))
            throw NotIn("index_type", indexType, "one of S2ATTN_INDEX_*");
        ImmutableArray<int>.Builder lengths = ImmutableArray.CreateBuilder<int>((int)count);
        for (int i = 0; i < (int)count; i++)
            lengths.Add(indexType == 0 ? ((int*)cumulative)[i] : Size($"cu_seqlens[{i}]", ((long*)cumulative)[i]));
        return this with { CumulativeLengths = lengths.MoveToImmutable() };
    }

    /// <summary>The recipe for tokens on several axes.</summary>
    /// <exception cref="NativeArgumentException">An argument breaks a rule.</exception>
    /// <exception cref="InvalidConfigException">The configuration or an axis breaks a rule.</exception>
    public unsafe Recipe OverGrid(NativeConfig* config, NativeAxis* axes, long count)
    {
        if (axes == null)
            throw new NativeArgumentException("axes is NULL");
        if (count is < 1 or > S2Grid.MaxAxes)
            throw new NativeArgumentException($"count = {count}: must be from 1 to {S2Grid.MaxAxes} axes");
        if (config->GroupRule != 0 || config->GroupSize != 0)
            throw new NativeArgumentException($"group_rule = {config->GroupRule}, group_size = {config->GroupSize}: must be 0: each axis has a group_size of its own");
        if (config->Shift != DefaultShift)
            throw new NativeArgumentException($"shift = {config->Shift}: must be S2ATTN_DEFAULT_SHIFT: each axis has a shift of its own");
        GridAxis<int>[] given = new GridAxis<int>[count];
        for (int i = 0; i < given.Length; i++)
        {
            int groupSize = Size($"axes[{i}].group_size", axes[i].GroupSize);
            given[i] = new(Size($"axes[{i}].tokens", axes[i].Tokens), groupSize, axes[i].Shift == DefaultShift ? groupSize / 2 : Size($"axes[{i}].shift", axes[i].Shift));
        }

        S2Config tokens = S2Config.Create(Request with { GroupSize = GroupSizeRule.Of(Math.Max(1, Request.Tokens)), Shift = Request.ShiftedHeads.HasOwnShifts ? null : 0 });
        return this with { Grid = S2Grid.Create(tokens, given) };
    }

    /// <summary>S2ATTN_MASK_*, one more than the policy's number: 0 is no mask.</summary>
    private static MaskPolicy MaskOf(int mask) => (MaskPolicy)(mask - 1) is var policy && mask != 0 && Enum.IsDefined(policy)
        ? policy
        : throw NotIn("mask", mask, "one of S2ATTN_MASK_*; it has no default");

    /// <summary>A number that fits.</summary>
    public static int Size(string name, long value) => value is >= int.MinValue and <= int.MaxValue
        ? (int)value
        : throw new NativeArgumentException($"{name} = {value}: must be at most {int.MaxValue}");

    private static DType TypeOf(string name, int value) => (DType)value is var type && Enum.IsDefined(type)
        ? type
        : throw NotIn(name, value, "one of S2ATTN_DTYPE_*");

    // What is given for each query head.
    private static unsafe ReadOnlySpan<T> Given<T>(T* values, int heads, string name, string need)
        where T : unmanaged
    {
        if (values == null)
            throw new NativeArgumentException($"{name} is NULL: {need} for each query head");
        return heads is < 1 or > (1 << 20)
            ? throw new NativeArgumentException($"heads = {heads}: must be from 1 to {1 << 20} where {name} is given")
            : new(values, heads);
    }

    private static unsafe TensorStrides? Strides(NativeStrides* strides) => strides == null ? null : strides->ToStrides();

    private static NativeArgumentException NotIn(string name, int value, string rule) => new($"{name} = {value}: must be {rule}");
}
