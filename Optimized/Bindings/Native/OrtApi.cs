// Where do the functions of ONNX Runtime's C API stand that the operator calls?
namespace S2Attn.Native;

/// <summary>
/// Places of functions in struct OrtApi, of which ONNX Runtime only ever appends. A test reads them from onnxruntime_c_api.h of the package and compares.
/// </summary>
internal enum OrtFunction
{
    CreateStatus = 0,
    CreateCustomOpDomain = 26,
    CustomOpDomain_Add = 27,
    AddCustomOpDomain = 28,
    GetTensorMutableData = 51,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorTypeAndShape = 65,
    KernelInfoGetAttribute_float = 85,
    KernelInfoGetAttribute_int64 = 86,
    KernelInfoGetAttribute_string = 87,
    KernelContext_GetInputCount = 88,
    KernelContext_GetOutputCount = 89,
    KernelContext_GetInput = 90,
    KernelContext_GetOutput = 91,
    ReleaseStatus = 93,
    ReleaseTensorTypeAndShapeInfo = 99,
    KernelInfoGetAttributeArray_int64 = 163,
}

/// <summary>Thrown with the OrtStatus of a call that ONNX Runtime refused; whoever catches it hands the status back.</summary>
internal sealed class OrtRefusedException(nint status) : Exception("ONNX Runtime refused a call")
{
    public nint Status { get; } = status;
}

/// <summary>struct OrtApi: a table of functions.</summary>
internal readonly unsafe struct OrtApi(void** functions)
{
    /// <summary>The version that is asked for: the earliest with everything above and with KernelComputeV2.</summary>
    public const uint Version = 17;

    private readonly void** functions = functions;

    /// <summary>The API of OrtApiBase, whose first function gives it; null where this ONNX Runtime is older.</summary>
    public static void** Of(void** apiBase) => ((delegate* unmanaged<uint, void**>)apiBase[0])(Version);

    public void* this[OrtFunction function] => functions[(int)function];

    public nint CreateStatus(int code, string message)
    {
        byte[] text = [.. System.Text.Encoding.UTF8.GetBytes(message), 0];
        fixed (byte* bytes = text)
            return ((delegate* unmanaged<int, byte*, nint>)this[OrtFunction.CreateStatus])(code, bytes);
    }

    public void ReleaseStatus(nint status) => ((delegate* unmanaged<nint, void>)this[OrtFunction.ReleaseStatus])(status);

    /// <summary>Throws where a status says that a call failed.</summary>
    public static void Check(nint status)
    {
        if (status != 0)
            throw new OrtRefusedException(status);
    }

    /// <summary>Whether a call succeeded; its status is released.</summary>
    public bool Succeeded(nint status)
    {
        if (status != 0)
            ReleaseStatus(status);
        return status == 0;
    }
}
