// What does libs2attn.c ask for where ONNX Runtime calls it for the operator s2attn::S2Attention?
using System.Runtime.InteropServices;

namespace S2Attn.Native;

internal static unsafe class OrtOperator
{
    private const int Fail = 1, InvalidArgument = 2;

    /// <summary>RegisterCustomOps, to which libs2attn.c forwards, with its operators: all kinds of element, of valid too. They live as long as the process.</summary>
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_register_custom_ops")]
    public static nint Register(nint options, void** apiBase, void* operators, int count, int size)
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
            for (int i = 0; i < count; i++)
            {
                byte* op = (byte*)operators + ((nint)i * size);
                *(uint*)op = OrtApi.Version;
                OrtApi.Check(((delegate* unmanaged<nint, void*, nint>)api[OrtFunction.CustomOpDomain_Add])(domain, op));
            }

            OrtApi.Check(((delegate* unmanaged<nint, nint, nint>)api[OrtFunction.AddCustomOpDomain])(options, domain));
        });
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_kernel_create")]
    public static nint Create(void** functions, nint info, void** kernel)
    {
        OrtApi api = new(functions);
        return Answered(api, () => *kernel = (void*)GCHandle.ToIntPtr(GCHandle.Alloc(new OrtKernel(api, OrtAttributes.Read(api, info)))));
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_kernel_compute")]
    public static nint Compute(void* kernel, nint context)
    {
        OrtKernel node = KernelOf(kernel);
        return Answered(node.Api, () => node.Run(context));
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_kernel_destroy")]
    public static void Destroy(void* kernel)
    {
        KernelOf(kernel).Close();
        GCHandle.FromIntPtr((nint)kernel).Free();
    }

    private static OrtKernel KernelOf(void* kernel) => (OrtKernel)GCHandle.FromIntPtr((nint)kernel).Target!;

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
}
