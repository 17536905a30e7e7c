// What does a node of the operator say of itself? The fields of the port protocol's configuration, as attributes.
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Native;

/// <summary>The attributes of s2attn::S2Attention, read once for each node.</summary>
/// <param name="GroupSize">groupSize, required unless there are axes: G.</param>
/// <param name="Shift">shift: S; G / 2 where not given.</param>
/// <param name="Mask">mask, required: a name of the protocol.</param>
/// <param name="ShiftedHeads">
/// shiftedHeads: a name of the protocol or one integer for each query head; SecondHalf where not given. Or shifts: by how much each query head shifts; or phases: their number, with rotated: 1
/// for half a step more. Each of these stands alone, and shifts and phases without shift.
/// </param>
/// <param name="Scale">scale: the factor of q.k; 1 / sqrt(D) where not given.</param>
/// <param name="Axes">axes: for each axis on which the tokens stand, the slowest first, three integers as in s2attn_axis: N, G and S, or -1 for G / 2. They stand instead of groupSize, shift, shifts and phases.</param>
/// <param name="Prefix">prefix: P, the first tokens that every query sees beside what the mask shows; 0 where not given. Not with axes.</param>
/// <param name="IsPrefixWhole">prefixWhole, beside prefix: 1 where its own tokens see it whole; else it is sinks.</param>
/// <param name="Threads">threads: workers of a call; 1 where not given, as ONNX Runtime spreads nodes over threads of its own; 0 for the processors of the machine.</param>
internal sealed record OrtAttributes(int? GroupSize, int? Shift, MaskPolicy Mask, HeadShift ShiftedHeads, double? Scale, ImmutableArray<GridAxis<int>> Axes, int Prefix, bool IsPrefixWhole, int Threads)
{
    /// <summary>Reads the attributes of a node.</summary>
    /// <exception cref="NativeArgumentException">One is missing or breaks a rule.</exception>
    public static OrtAttributes Read(OrtApi api, nint info)
    {
        string mask = Text(api, info, "mask"u8) ?? throw new NativeArgumentException("S2Attention: mask is missing: it must be one of " + Names);
        int? shift = Integer(api, info, "shift"u8);
        HeadShift? own = OwnShifts(api, info);
        if (own is not null && (shift is not null || Integers(api, info, "shiftedHeads"u8) is not null || Text(api, info, "shiftedHeads"u8) is not null))
            throw new NativeArgumentException("S2Attention: shifts, or phases, says by how much each head shifts: shift and shiftedHeads must not be given beside it");
        int? groupSize = Integer(api, info, "groupSize"u8);
        ImmutableArray<GridAxis<int>> axes = AxesOf(api, info);
        if (axes.IsEmpty && groupSize is null)
            throw new NativeArgumentException("S2Attention: groupSize is missing");
        if (!axes.IsEmpty && (groupSize is not null || shift is not null || own is not null))
            throw new NativeArgumentException("S2Attention: axes are given: groupSize, shift, shifts and phases must not be beside them, as each axis has its own");
        int? prefix = Integer(api, info, "prefix"u8), whole = Integer(api, info, "prefixWhole"u8);
        if (prefix is < 0 || (prefix > 0 && !axes.IsEmpty))
            throw new NativeArgumentException($"S2Attention: prefix = {prefix}: must be {(prefix < 0 ? "at least 0" : "0 beside axes: a grid has no prefix")}");
        if (whole is not null && (prefix is null || whole is not (0 or 1)))
            throw new NativeArgumentException($"S2Attention: prefixWhole = {whole}: must be 0 or 1, beside prefix");
        MaskPolicy[] policies = [.. MaskPolicies.All.Where(policy => policy.ToString() == mask)];
        return new(
            groupSize,
            shift,
            policies.Length == 1 ? policies[0] : throw new NativeArgumentException($"S2Attention: mask = {mask}: must be one of {Names}"),
            own ?? Heads(api, info),
            Number(api, info, "scale"u8),
            axes,
            prefix ?? 0,
            whole == 1,
            Integer(api, info, "threads"u8) ?? 1);
    }

    private static string Names => string.Join(", ", MaskPolicies.All);

    private static HeadShift Heads(OrtApi api, nint info) => Integers(api, info, "shiftedHeads"u8) is { } flags
        ? HeadShift.Of(flags.Select(flag => flag != 0))
        : Text(api, info, "shiftedHeads"u8) switch
        {
            null or "SecondHalf" => HeadShift.SecondHalf,
            "None" => HeadShift.None,
            "All" => HeadShift.All,
            var other => throw new NativeArgumentException($"S2Attention: shiftedHeads = {other}: must be None, SecondHalf, All or one integer for each query head"),
        };

    // Heads that say themselves by how much they shift; null where they do not.
    private static HeadShift? OwnShifts(OrtApi api, nint info)
    {
        long[]? shifts = Integers(api, info, "shifts"u8);
        int? phases = Integer(api, info, "phases"u8), rotated = Integer(api, info, "rotated"u8);
        if (shifts is not null && phases is not null)
            throw new NativeArgumentException("S2Attention: shifts and phases are given: one of them says by how much each head shifts");
        if (rotated is not null && (phases is null || rotated is not (0 or 1)))
            throw new NativeArgumentException($"S2Attention: rotated = {rotated}: must be 0 or 1, beside phases");
        return phases is { } count ? HeadShift.Phased(count, rotated == 1)
            : shifts is not null ? HeadShift.Each(shifts.Select(shift => shift is >= int.MinValue and <= int.MaxValue ? (int)shift : throw new NativeArgumentException($"S2Attention: shifts has {shift}: must fit 32 bits")).ToArray())
            : null;
    }

    // N, G and S of each axis; none where the tokens are a text. Spec checks what they must be.
    private static ImmutableArray<GridAxis<int>> AxesOf(OrtApi api, nint info)
    {
        const long DefaultShift = -1;
        const int Fields = 3;
        if (Integers(api, info, "axes"u8) is not { } numbers)
            return [];
        if (numbers.Length % Fields != 0 || numbers.Length > Fields * S2Grid.MaxAxes)
            throw new NativeArgumentException($"S2Attention: axes has {numbers.Length} integers: must have three, N, G and S, for each of one to {S2Grid.MaxAxes} axes");
        return [.. numbers.Chunk(Fields).Select(axis => new GridAxis<int>(Size(axis[0]), Size(axis[1]), axis[2] == DefaultShift ? Size(axis[1]) / 2 : Size(axis[2])))];

        static int Size(long value) => value is >= 0 and <= int.MaxValue ? (int)value : throw new NativeArgumentException($"S2Attention: axes has {value}: must be from 0 to {int.MaxValue}, or -1 for S of G / 2");
    }

    // A list of integers that is not empty; null where there is none of this name.
    private static unsafe long[]? Integers(OrtApi api, nint info, ReadOnlySpan<byte> name)
    {
        nuint count = 0;
        fixed (byte* text = name)
        {
            var read = (delegate* unmanaged<nint, byte*, long*, nuint*, nint>)api[OrtFunction.KernelInfoGetAttributeArray_int64];
            if (!api.Succeeded(read(info, text, null, &count)) || count == 0)
                return null;
            long[] values = new long[count];
            fixed (long* into = values)
                OrtApi.Check(read(info, text, into, &count));
            return values;
        }
    }

    private static unsafe int? Integer(OrtApi api, nint info, ReadOnlySpan<byte> name)
    {
        long value = 0;
        fixed (byte* text = name)
            if (!api.Succeeded(((delegate* unmanaged<nint, byte*, long*, nint>)api[OrtFunction.KernelInfoGetAttribute_int64])(info, text, &value)))
                return null;
        return value is >= int.MinValue and <= int.MaxValue
            ? (int)value
            : throw new NativeArgumentException($"S2Attention: {System.Text.Encoding.UTF8.GetString(name)} = {value}: must fit 32 bits");
    }

    private static unsafe double? Number(OrtApi api, nint info, ReadOnlySpan<byte> name)
    {
        float value = 0;
        fixed (byte* text = name)
            return api.Succeeded(((delegate* unmanaged<nint, byte*, float*, nint>)api[OrtFunction.KernelInfoGetAttribute_float])(info, text, &value)) ? value : null;
    }

    private static unsafe string? Text(OrtApi api, nint info, ReadOnlySpan<byte> name)
    {
        nuint size = 0;
        fixed (byte* text = name)
        {
            var read = (delegate* unmanaged<nint, byte*, byte*, nuint*, nint>)api[OrtFunction.KernelInfoGetAttribute_string];
            if (!api.Succeeded(read(info, text, null, &size)) || size == 0)
                return null;
            byte[] value = new byte[size];
            fixed (byte* into = value)
                OrtApi.Check(read(info, text, into, &size));
            return System.Text.Encoding.UTF8.GetString(value.AsSpan(0, (int)size - 1));
        }
    }
}
