// The kernel through libs2attn.so, called as a C program calls it.
using System.Runtime.InteropServices;
using S2Attn.Native;

namespace S2Attn.Conformance.Bench;

internal static unsafe class CWay
{
    private const int F32 = 1, LocalCausal = 1;

    /// <summary>Plans the case in the library.</summary>
    /// <exception cref="InvalidOperationException">The library cannot be loaded or refuses the case.</exception>
    public static CalledWay Open(string library, ThroughCase item, BenchTensors<float> t)
    {
        Api api = Api.Load(library);
        NativeConfig config;
        api.Check(api.Initialise(&config, sizeof(NativeConfig)));
        config.Batch = 1;
        config.Tokens = item.Tokens;
        config.Heads = item.Heads;
        config.HeadDim = item.HeadDim;
        config.GroupSize = item.GroupSize;
        config.DType = F32;
        config.Mask = LocalCausal;
        config.Threads = 1;
        ulong created;
        api.Check(api.Create(&config, &created));
        ulong plan = created;
        return new(
            () =>
            {
                api.Check(api.Forward(plan, t.Query, t.Key, t.Value, null, t.Output, t.LogSumExp));
                if (item.WithBackward)
                    api.Check(api.Backward(plan, t.Query, t.Key, t.Value, null, t.Output, t.LogSumExp, t.OutputGradient, null, t.QueryGradient, t.KeyGradient, t.ValueGradient));
            },
            new Plan(api, plan));
    }

    private sealed class Plan(Api api, ulong handle) : IDisposable
    {
        public void Dispose() => api.Check(api.Destroy(handle));
    }

    /// <summary>The functions of s2attn.h that are called here. The library is never unloaded: it is linked so.</summary>
    private sealed class Api
    {
        public required delegate* unmanaged<NativeConfig*, long, int> Initialise { get; init; }

        public required delegate* unmanaged<NativeConfig*, ulong*, int> Create { get; init; }

        public required delegate* unmanaged<ulong, void*, void*, void*, byte*, void*, float*, int> Forward { get; init; }

        public required delegate* unmanaged<ulong, void*, void*, void*, byte*, void*, float*, void*, float*, void*, void*, void*, int> Backward { get; init; }

        public required delegate* unmanaged<ulong, int> Destroy { get; init; }

        public required delegate* unmanaged<byte*> LastError { get; init; }

        public static Api Load(string path)
        {
            try
            {
                nint handle = NativeLibrary.Load(path);
                return new()
                {
                    Initialise = (delegate* unmanaged<NativeConfig*, long, int>)NativeLibrary.GetExport(handle, "s2attn_config_init"),
                    Create = (delegate* unmanaged<NativeConfig*, ulong*, int>)NativeLibrary.GetExport(handle, "s2attn_create"),
                    Forward = (delegate* unmanaged<ulong, void*, void*, void*, byte*, void*, float*, int>)NativeLibrary.GetExport(handle, "s2attn_forward"),
                    Backward = (delegate* unmanaged<ulong, void*, void*, void*, byte*, void*, float*, void*, float*, void*, void*, void*, int>)NativeLibrary.GetExport(handle, "s2attn_backward"),
                    Destroy = (delegate* unmanaged<ulong, int>)NativeLibrary.GetExport(handle, "s2attn_destroy"),
                    LastError = (delegate* unmanaged<byte*>)NativeLibrary.GetExport(handle, "s2attn_last_error"),
                };
            }
            catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
            {
                throw new InvalidOperationException($"{path}: {error.Message}", error);
            }
        }

        public void Check(int result)
        {
            if (result != 0)
                throw new InvalidOperationException($"libs2attn: error {result}: {Marshal.PtrToStringUTF8((nint)LastError())}");
        }
    }
}
