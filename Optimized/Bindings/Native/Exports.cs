// The functions that libs2attn.c forwards to: no exception crosses this border.
using System.Runtime.InteropServices;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Native;

internal static unsafe class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create")]
    public static int Create(NativeConfig* config, ulong* plan)
        => Errors.Guard(() => *plan = Handles.Plans.Add(new(Recipe.Read(config))));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create_varlen")]
    public static int CreateVarlen(NativeConfig* config, void* cumulative, long count, int indexType, ulong* plan)
        => Errors.Guard(() => *plan = Handles.Plans.Add(new(Recipe.Read(config).Packed(cumulative, count, indexType))));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create_slice")]
    public static int CreateSlice(NativeConfig* config, NativeSlice* slice, ulong* plan)
        => Errors.Guard(() => *plan = Handles.Plans.Add(new(Recipe.Read(config, slice))));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create_grid")]
    public static int CreateGrid(NativeConfig* config, NativeAxis* axes, long count, ulong* plan)
        => Errors.Guard(() => *plan = Handles.Plans.Add(new(Recipe.Read(config).OverGrid(config, axes, count))));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_slice_keys")]
    public static int SliceKeys(NativeConfig* config, NativeSlice* slice)
        => Errors.Guard(() =>
        {
            if (slice == null)
                throw new NativeArgumentException("slice is NULL");
            NativeSlice asked = *slice;
            (asked.FirstKey, asked.EndKey) = (Recipe.Needed, Recipe.Needed);
            TokenRange<int> keys = Recipe.Read(config, &asked).Slice!.Keys;
            (slice->FirstKey, slice->EndKey) = (keys.Start, keys.End);
        });

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_forward")]
    public static int Forward(ulong plan, void* q, void* k, void* v, byte* valid, void* o, float* lse)
    {
        Entry<HostedPlan>? entry = null;
        try
        {
            entry = Handles.Plans.Enter(plan);
            switch (entry.Value.Recipe.DType)
            {
                case DType.F32:
                    entry.Value.Plan.ForwardPointers((float*)q, (float*)k, (float*)v, (float*)o, lse, valid);
                    break;
                case DType.F16:
                    entry.Value.Plan.ForwardPointers((Half*)q, (Half*)k, (Half*)v, (Half*)o, lse, valid);
                    break;
                default:
                    entry.Value.Plan.ForwardPointers((BFloat16*)q, (BFloat16*)k, (BFloat16*)v, (BFloat16*)o, lse, valid);
                    break;
            }

            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Errors.Fail(error);
        }
        finally
        {
            entry?.Leave();
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_backward")]
    public static int Backward(ulong plan, void* q, void* k, void* v, byte* valid, void* o, float* lse, void* outputGradient, float* dlse, void* dq, void* dk, void* dv)
    {
        Entry<HostedPlan>? entry = null;
        try
        {
            entry = Handles.Plans.Enter(plan);
            switch (entry.Value.Recipe.DType, entry.Value.Recipe.GradientDType)
            {
                case (DType.F32, _):
                    Run<float, float>(entry.Value.Plan);
                    break;
                case (DType.F16, DType.F32):
                    Run<Half, float>(entry.Value.Plan);
                    break;
                case (DType.F16, _):
                    Run<Half, Half>(entry.Value.Plan);
                    break;
                case (_, DType.F32):
                    Run<BFloat16, float>(entry.Value.Plan);
                    break;
                default:
                    Run<BFloat16, BFloat16>(entry.Value.Plan);
                    break;
            }

            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Errors.Fail(error);
        }
        finally
        {
            entry?.Leave();
        }

        void Run<T, TGradient>(S2AttentionPlan used)
            where T : unmanaged
            where TGradient : unmanaged
            => used.BackwardPointers((T*)q, (T*)k, (T*)v, (T*)o, lse, (T*)outputGradient, (TGradient*)dq, (TGradient*)dk, (TGradient*)dv, valid, dlse);
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_query")]
    public static int Query(ulong plan, NativeInfo* info) => Errors.Guard(() => Handles.Plans.Use(plan, hosted => *info = new()
    {
        StructSize = info->StructSize,
        GroupSize = hosted.Plan.Config.GroupSize,
        Shift = hosted.Plan.Config.Shift,
        Scale = hosted.Plan.Config.Scale,
        WorkspaceBytesPerThread = hosted.Plan.WorkspaceBytesPerThread,
        WorkspaceBytes = (hosted.Plan.WorkspaceBytesPerThread * hosted.Plan.Threads) + hosted.Recipe.GradientSumBytes(hosted.Plan.Config),
        Threads = hosted.Plan.Threads,
        VectorBits = VectorBits,
    }));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_destroy")]
    public static int Destroy(ulong plan)
        => Errors.Guard(() => Handles.Plans.Destroy(plan));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_last_error")]
    public static void LastError(byte* buffer, int size) => Errors.CopyTo(buffer, size);

    /// <summary>The first call of a process, which starts the runtime.</summary>
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_start")]
    public static void Start(HostFunctions* host) => Host.Functions = *host;

    private static int VectorBits => VectorWidths.Bits(VectorWidths.InUse);
}
