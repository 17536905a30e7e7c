// The functions that libs2attn.c forwards to: no exception crosses this border.
using System.Runtime.InteropServices;
using S2Attn.Optimized;

namespace S2Attn.Native;

internal static unsafe class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create")]
    public static int Create(NativeConfig* config, ulong* plan)
    {
        try
        {
            *plan = PlanTable.Add(Recipe.Read(config));
            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Errors.Fail(error);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_create_varlen")]
    public static int CreateVarlen(NativeConfig* config, void* cumulative, long count, int indexType, ulong* plan)
    {
        try
        {
            *plan = PlanTable.Add(Recipe.Read(config).Packed(cumulative, count, indexType));
            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Errors.Fail(error);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_forward")]
    public static int Forward(ulong plan, void* q, void* k, void* v, byte* valid, void* o, float* lse)
    {
        PlanEntry? entry = null;
        try
        {
            entry = PlanTable.Enter(plan);
            switch (entry.Recipe.DType)
            {
                case DType.F32:
                    entry.Plan.ForwardPointers((float*)q, (float*)k, (float*)v, (float*)o, lse, valid);
                    break;
                case DType.F16:
                    entry.Plan.ForwardPointers((Half*)q, (Half*)k, (Half*)v, (Half*)o, lse, valid);
                    break;
                default:
                    entry.Plan.ForwardPointers((BFloat16*)q, (BFloat16*)k, (BFloat16*)v, (BFloat16*)o, lse, valid);
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
        PlanEntry? entry = null;
        try
        {
            entry = PlanTable.Enter(plan);
            switch (entry.Recipe.DType, entry.Recipe.GradientDType)
            {
                case (DType.F32, _):
                    Run<float, float>(entry.Plan);
                    break;
                case (DType.F16, DType.F32):
                    Run<Half, float>(entry.Plan);
                    break;
                case (DType.F16, _):
                    Run<Half, Half>(entry.Plan);
                    break;
                case (_, DType.F32):
                    Run<BFloat16, float>(entry.Plan);
                    break;
                default:
                    Run<BFloat16, BFloat16>(entry.Plan);
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
    public static int Query(ulong plan, NativeInfo* info)
    {
        PlanEntry? entry = null;
        try
        {
            entry = PlanTable.Enter(plan);
            S2AttentionPlan used = entry.Plan;
            *info = new()
            {
                StructSize = info->StructSize,
                GroupSize = used.Config.GroupSize,
                Shift = used.Config.Shift,
                Scale = used.Config.Scale,
                WorkspaceBytesPerThread = used.WorkspaceBytesPerThread,
                WorkspaceBytes = (used.WorkspaceBytesPerThread * used.Threads) + entry.Recipe.GradientSumBytes(used.Config),
                Threads = used.Threads,
                VectorBits = VectorBits,
            };
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

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_destroy")]
    public static int Destroy(ulong plan)
    {
        try
        {
            PlanTable.Destroy(plan);
            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Errors.Fail(error);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_last_error")]
    public static void LastError(byte* buffer, int size) => Errors.CopyTo(buffer, size);

    /// <summary>The first call of a process, which starts the runtime.</summary>
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_start")]
    public static void Start(HostFunctions* host) => Host.Functions = *host;

    private static int VectorBits => VectorWidths.Bits(VectorWidths.InUse);
}
