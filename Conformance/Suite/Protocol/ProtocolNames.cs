// How does the port protocol write the names of operations, element types and masks?
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>The words of the port protocol, version 1. Reading is exact: "F32" is not "f32".</summary>
public static class ProtocolNames
{
    /// <summary>"forward" or "backward".</summary>
    public static string Of(PortOperation operation) => operation switch
    {
        PortOperation.Forward => "forward",
        PortOperation.Backward => "backward",
        _ => throw new ArgumentOutOfRangeException(nameof(operation), operation, "Unknown operation."),
    };

    /// <summary>"f32", "f64", "f16" or "bf16".</summary>
    public static string Of(ElementType type) => type switch
    {
        ElementType.F32 => "f32",
        ElementType.F64 => "f64",
        ElementType.F16 => "f16",
        ElementType.BF16 => "bf16",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    /// <summary>"gapped", "negative", "broadcast" or "written".</summary>
    public static string Of(StrideKind kind) => kind switch
    {
        StrideKind.Gapped => "gapped",
        StrideKind.Negative => "negative",
        StrideKind.Broadcast => "broadcast",
        StrideKind.Written => "written",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Unknown kind of strides."),
    };

    /// <summary>The kind of strides of that name.</summary>
    public static bool TryReadStrides(string name, out StrideKind kind) => TryRead(name, Of, out kind);

    /// <summary>"BNHD" or, head-major, "BHND".</summary>
    public static string LayoutOf(bool headMajor) => headMajor ? "BHND" : "BNHD";

    /// <summary>The operation of that name.</summary>
    public static bool TryReadOperation(string name, out PortOperation operation) => TryRead(name, Of, out operation);

    /// <summary>The element type of that name.</summary>
    public static bool TryReadElementType(string name, out ElementType type) => TryRead(name, Of, out type);

    /// <summary>The mask of that name.</summary>
    public static bool TryReadMask(string name, out MaskPolicy mask) => TryRead(name, static policy => policy.ToString(), out mask);

    private static bool TryRead<T>(string name, Func<T, string> write, out T value)
        where T : struct, Enum
    {
        foreach (T candidate in Enum.GetValues<T>())
            if (write(candidate) == name)
            {
                value = candidate;
                return true;
            }

        value = default;
        return false;
    }
}
