// How does one node of the operator compute? A plan for the shapes that it last saw, and the kernels over the tensors where they are.
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Native;

/// <summary>
/// s2attn::S2Attention: q [B,N,H,D], k and v [B,N,K,D], optional valid [B,N] (bool or uint8); o [B,N,H,D], optional lse [B,N,H]. ONNX Runtime may run one node in several
/// threads at once: each call takes a plan of its shape from those that lie idle, and puts it back.
/// </summary>
internal sealed unsafe class OrtKernel(OrtApi api, OrtAttributes attributes)
{
    private const int KeptPlans = 8;
    private readonly List<HostedPlan> idle = [];

    public OrtApi Api { get; } = api;

    /// <summary>Computes a call.</summary>
    public void Run(nint context)
    {
        OrtTensor q = OrtTensor.Input(Api, context, 0), k = OrtTensor.Input(Api, context, 1), v = OrtTensor.Input(Api, context, 2);
        nuint inputs = 0, outputs = 0;
        OrtApi.Check(((delegate* unmanaged<nint, nuint*, nint>)Api[OrtFunction.KernelContext_GetInputCount])(context, &inputs));
        OrtApi.Check(((delegate* unmanaged<nint, nuint*, nint>)Api[OrtFunction.KernelContext_GetOutputCount])(context, &outputs));
        OrtTensor valid = inputs > 3 ? OrtTensor.Input(Api, context, 3) : default;
        S2Config config = Config(q, k, v, valid);
        long[] rows = [config.Batch, config.Tokens, config.Heads];
        void* o = OrtTensor.Output(Api, context, 0, [.. rows, config.HeadDim]);
        float* lse = outputs > 1 ? (float*)OrtTensor.Output(Api, context, 1, rows) : null;
        HostedPlan hosted = Take(config);
        S2AttentionPlan plan = hosted.Plan;
        switch (q.Element)
        {
            case OrtElement.Float:
                plan.ForwardPointers((float*)q.Data, (float*)k.Data, (float*)v.Data, (float*)o, lse, (byte*)valid.Data);
                break;
            case OrtElement.Float16:
                plan.ForwardPointers((Half*)q.Data, (Half*)k.Data, (Half*)v.Data, (Half*)o, lse, (byte*)valid.Data);
                break;
            default:
                plan.ForwardPointers((BFloat16*)q.Data, (BFloat16*)k.Data, (BFloat16*)v.Data, (BFloat16*)o, lse, (byte*)valid.Data);
                break;
        }

        Put(hosted);
    }

    /// <summary>Frees what lies idle; no call is under way.</summary>
    public void Close()
    {
        foreach (HostedPlan plan in idle)
            plan.Dispose();
        idle.Clear();
    }

    private S2Config Config(OrtTensor q, OrtTensor k, OrtTensor v, OrtTensor valid)
    {
        if (q.Shape is not { Length: 4 } || k.Shape is not { Length: 4 } || v.Shape is not { Length: 4 })
            throw new NativeArgumentException("S2Attention: q, k and v must have four dimensions [batch, tokens, heads, headDim]");
        if (q.Element is not (OrtElement.Float or OrtElement.Float16 or OrtElement.BFloat16))
            throw new NativeArgumentException($"S2Attention: q has element type {(int)q.Element}: must be float, float16 or bfloat16");
        if (k.Element != q.Element || v.Element != q.Element)
            throw new NativeArgumentException("S2Attention: k and v must have the element type of q");
        if (!k.Shape.AsSpan().SequenceEqual(v.Shape) || k.Shape[0] != q.Shape[0] || k.Shape[1] != q.Shape[1] || k.Shape[3] != q.Shape[3])
            throw new NativeArgumentException($"S2Attention: k {Text(k.Shape)} and v {Text(v.Shape)} must be [B,N,K,D] for q {Text(q.Shape)}");
        if (valid.Shape is not null && (valid.Element is not (OrtElement.Bool or OrtElement.UInt8) || !valid.Shape.AsSpan().SequenceEqual(q.Shape.AsSpan(0, 2))))
            throw new NativeArgumentException($"S2Attention: valid {Text(valid.Shape)} must be bool or uint8 and [B,N] for q {Text(q.Shape)}");
        foreach (long length in q.Shape.Concat(k.Shape))
            if (length > int.MaxValue)
                throw new NativeArgumentException($"S2Attention: a dimension of {length} is more than {int.MaxValue}");
        return S2Config.Create(new S2Request
        {
            Batch = (int)q.Shape[0],
            Tokens = (int)q.Shape[1],
            Heads = (int)q.Shape[2],
            KvHeads = (int)k.Shape[2],
            HeadDim = (int)q.Shape[3],
            GroupSize = GroupSizeRule.Of(attributes.GroupSize ?? (int)Math.Max(1, q.Shape[1])),
            Shift = attributes.Axes.IsEmpty ? attributes.Shift : 0,
            Mask = attributes.Mask,
            ShiftedHeads = attributes.ShiftedHeads,
            Scale = attributes.Scale,
            Prefix = attributes.Prefix,
            IsPrefixWhole = attributes.IsPrefixWhole,
        });
    }

    private HostedPlan Take(S2Config config)
    {
        lock (idle)
        {
            int found = idle.FindIndex(hosted => hosted.Plan.Config == config);
            if (found >= 0)
            {
                HostedPlan plan = idle[found];
                idle.RemoveAt(found);
                return plan;
            }
        }

        return new(new Recipe(config.ToRequest(), new S2AttentionOptions { Threads = attributes.Threads == 0 ? null : attributes.Threads }, default, DType.F32, DType.F32)
        {
            Grid = attributes.Axes.IsEmpty ? null : S2Grid.Create(config, attributes.Axes),
        });
    }

    private void Put(HostedPlan plan)
    {
        HostedPlan? oldest = null;
        lock (idle)
        {
            idle.Add(plan);
            if (idle.Count > KeptPlans)
            {
                oldest = idle[0];
                idle.RemoveAt(0);
            }
        }

        oldest?.Dispose();
    }

    private static string Text(long[] shape) => $"[{string.Join(",", shape)}]";
}
