// The C# of README.md, compiled and run. ReadmeTests holds that the text is the same.
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Docs;

internal static class ReadmeSnippets
{
    public static float[] Kernel()
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 8192, Heads = 8, HeadDim = 64, GroupSize = GroupSizeRule.LongLora, Mask = MaskPolicy.Split });
        using S2AttentionPlan plan = new(config);
        float[] q = new float[8192 * 8 * 64], k = new float[q.Length], v = new float[q.Length], o = new float[q.Length], lse = new float[8192 * 8];
        plan.Forward<float>(q, k, v, o, lse);
        plan.Backward<float>(q, k, v, o, lse, outputGradient: o, queryGradient: new float[q.Length], keyGradient: new float[k.Length], valueGradient: new float[v.Length]);
        return lse;
    }

    public static (bool Leaks, Gradients<double> Gradients) Reference()
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 8, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal });
        bool leaks = Visibility.Visible(config, head: 1, t: 0, u: 7);
        Tensor<double> q = Tensor<double>.Build([1, 8, 2, 1], i => i);
        AttentionOutput<double> output = Attention.Forward(config, new AttentionInput<double>(q, q, q));
        Gradients<double> gradients = AttentionGradients.Backward(config, new AttentionInput<double>(q, q, q), output.Output);
        return (leaks, gradients);
    }
}
