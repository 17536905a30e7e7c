// How does ONNX Runtime learn of the operator s2attn::S2Attention? A table of functions that it calls, and one that it looks for in the library.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace S2Attn.Native;

/// <summary>
/// struct OrtCustomOp of onnxruntime_c_api.h, and behind it the element type, because ONNX Runtime wants an operator for each. They live as long as the process.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct OrtCustomOp
{
    public uint Version;
    public void* CreateKernel;
    public delegate* unmanaged<OrtCustomOp*, byte*> GetName, GetExecutionProviderType;
    public delegate* unmanaged<OrtCustomOp*, nuint, int> GetInputType;
    public delegate* unmanaged<OrtCustomOp*, nuint> GetInputTypeCount;
    public delegate* unmanaged<OrtCustomOp*, nuint, int> GetOutputType;
    public delegate* unmanaged<OrtCustomOp*, nuint> GetOutputTypeCount;
    public void* KernelCompute;
    public delegate* unmanaged<void*, void> KernelDestroy;
    public delegate* unmanaged<OrtCustomOp*, nuint, int> GetInputCharacteristic, GetOutputCharacteristic, GetInputMemoryType;
    public delegate* unmanaged<OrtCustomOp*, int> GetVariadicInputMinArity, GetVariadicInputHomogeneity, GetVariadicOutputMinArity, GetVariadicOutputHomogeneity;
    public delegate* unmanaged<OrtCustomOp*, void**, nint, void**, nint> CreateKernelV2;
    public delegate* unmanaged<void*, nint, nint> KernelComputeV2;
    public void* InferOutputShape;
    public delegate* unmanaged<OrtCustomOp*, int> GetStartVersion, GetEndVersion;
    public void* GetMayInplace, ReleaseMayInplace, GetAliasMap, ReleaseAliasMap;
    public OrtElement Element;
    public OrtElement Valid;
}

internal static unsafe class OrtOperator
{
    private const int Fail = 1, InvalidArgument = 2;
    private const int Required = 0, Optional = 1;
    private const nuint InputCount = 4, OutputCount = 2;

    /// <summary>RegisterCustomOps, to which libs2attn.c forwards.</summary>
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_register_custom_ops")]
    public static nint Register(nint options, void** apiBase)
    {
        void** functions = OrtApi.Of(apiBase);
        if (functions == null)
        {
            // Versions before the one asked for still make statuses.
            functions = ((delegate* unmanaged<uint, void**>)apiBase[0])(1);
            return functions == null ? 0 : new OrtApi(functions).CreateStatus(Fail, $"libs2attn needs ONNX Runtime 1.{OrtApi.Version} or later");
        }

        OrtApi api = new(functions);
        return Answered(api, () =>
        {
            nint domain = 0;
            fixed (byte* name = "s2attn"u8)
                OrtApi.Check(((delegate* unmanaged<byte*, nint*, nint>)api[OrtFunction.CreateCustomOpDomain])(name, &domain));
            foreach (OrtElement element in (ReadOnlySpan<OrtElement>)[OrtElement.Float, OrtElement.Float16, OrtElement.BFloat16])
                foreach (OrtElement valid in (ReadOnlySpan<OrtElement>)[OrtElement.Bool, OrtElement.UInt8])
                    OrtApi.Check(((delegate* unmanaged<nint, OrtCustomOp*, nint>)api[OrtFunction.CustomOpDomain_Add])(domain, Operator(element, valid)));
            OrtApi.Check(((delegate* unmanaged<nint, nint, nint>)api[OrtFunction.AddCustomOpDomain])(options, domain));
        });
    }

    private static OrtCustomOp* Operator(OrtElement element, OrtElement valid)
    {
        OrtCustomOp* op = (OrtCustomOp*)NativeMemory.AllocZeroed((nuint)sizeof(OrtCustomOp));
        *op = new()
        {
            Version = OrtApi.Version,
            GetName = &Name,
            GetExecutionProviderType = &Provider,
            GetInputType = &InputType,
            GetInputTypeCount = &Inputs,
            GetOutputType = &OutputType,
            GetOutputTypeCount = &Outputs,
            KernelDestroy = &Destroy,
            GetInputCharacteristic = &InputKind,
            GetOutputCharacteristic = &OutputKind,
            GetInputMemoryType = &Zero,
            GetVariadicInputMinArity = &One,
            GetVariadicInputHomogeneity = &One,
            GetVariadicOutputMinArity = &One,
            GetVariadicOutputHomogeneity = &One,
            CreateKernelV2 = &Create,
            KernelComputeV2 = &Compute,
            GetStartVersion = &One,
            GetEndVersion = &LastVersion,
            Element = element,
            Valid = valid,
        };
        return op;
    }

    [UnmanagedCallersOnly]
    private static byte* Name(OrtCustomOp* op) => Constant("S2Attention"u8);

    [UnmanagedCallersOnly]
    private static byte* Provider(OrtCustomOp* op) => Constant("CPUExecutionProvider"u8);

    [UnmanagedCallersOnly]
    private static int InputType(OrtCustomOp* op, nuint index) => (int)(index < 3 ? op->Element : op->Valid);

    [UnmanagedCallersOnly]
    private static nuint Inputs(OrtCustomOp* op) => InputCount;

    [UnmanagedCallersOnly]
    private static int OutputType(OrtCustomOp* op, nuint index) => (int)(index == 0 ? op->Element : OrtElement.Float);

    [UnmanagedCallersOnly]
    private static nuint Outputs(OrtCustomOp* op) => OutputCount;

    [UnmanagedCallersOnly]
    private static int InputKind(OrtCustomOp* op, nuint index) => index < 3 ? Required : Optional;

    [UnmanagedCallersOnly]
    private static int OutputKind(OrtCustomOp* op, nuint index) => index == 0 ? Required : Optional;

    [UnmanagedCallersOnly]
    private static int Zero(OrtCustomOp* op, nuint index) => 0;

    [UnmanagedCallersOnly]
    private static int One(OrtCustomOp* op) => 1;

    [UnmanagedCallersOnly]
    private static int LastVersion(OrtCustomOp* op) => int.MaxValue;

    [UnmanagedCallersOnly]
    private static nint Create(OrtCustomOp* op, void** functions, nint info, void** kernel)
    {
        OrtApi api = new(functions);
        return Guarded(api, () => *kernel = (void*)GCHandle.ToIntPtr(GCHandle.Alloc(new OrtKernel(api, OrtAttributes.Read(api, info)))));
    }

    [UnmanagedCallersOnly]
    private static nint Compute(void* kernel, nint context)
    {
        OrtKernel node = KernelOf(kernel);
        return Guarded(node.Api, () => node.Run(context));
    }

    [UnmanagedCallersOnly]
    private static void Destroy(void* kernel)
    {
        KernelOf(kernel).Close();
        GCHandle.FromIntPtr((nint)kernel).Free();
    }

    private static OrtKernel KernelOf(void* kernel) => (OrtKernel)GCHandle.FromIntPtr((nint)kernel).Target!;

    // A call of ONNX Runtime's own: a fork waits for it.
    private static nint Guarded(OrtApi api, Action call) => Answered(api, () =>
    {
        Host.Enter();
        try
        {
            call();
        }
        finally
        {
            Host.Leave();
        }
    });

    // No exception leaves: it becomes the status that ONNX Runtime reports.
    private static nint Answered(OrtApi api, Action call)
    {
        try
        {
            call();
            return 0;
        }
        catch (OrtRefusedException refused)
        {
            return refused.Status;
        }
        catch (Exception error)
        {
            return api.CreateStatus(error is ArgumentException or NativeArgumentException ? InvalidArgument : Fail, error.Message);
        }
    }

    // A UTF-8 literal lies in the library's read-only data, with a final 0.
    private static byte* Constant(ReadOnlySpan<byte> text) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));
}
