// Has every tensor of a golden case the shape that its configuration asks for?
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>
/// The shapes of golden/README.md. With E = HD: q, o, do, dq [B,N,H,D]; k, v, dk, dv [B,N,K,D]; valid [B,N]; x, y, dx, dy [B,N,E]; wq [HD,E];
/// wk, wv [KD,E]; wo [E,HD]; biases bq [HD], bk, bv [KD], bo [E]; cos, sin [N,R] with an even R of at most D. Gradients of weights are as the weights.
/// </summary>
internal static class GoldenShapes
{
    /// <summary>Checks every tensor that the file has, and that what is compared is there.</summary>
    /// <exception cref="FormatException">A tensor is missing, unknown, or of another shape.</exception>
    public static void Check(GoldenCase golden, SafetensorsFile file)
    {
        bool layer = golden.Family == "layer";
        string[] core = ["q", "k", "v", "do", "o", "dq", "dk", "dv"];
        foreach (string name in layer ? ["x", "y", "wq", "wk", "wv", "wo", "cos", "sin"] : core)
            Need(file, name);
        if (file.TryGet("q", out _))
            foreach (string name in core)
                Need(file, name);
        foreach (SafetensorsTensor tensor in file.Tensors)
            if (!Fits(golden.Config, tensor) || tensor.Type != (tensor.Name == "valid" ? SafetensorsType.U8 : golden.ElementType.ToSafetensors()))
                throw new FormatException($"tensor {ForeignText.Name(tensor.Name)} is {tensor.Type.Name()} [{string.Join(",", tensor.Values.Shape)}], which is none that golden/README.md gives for this case");
    }

    private static void Need(SafetensorsFile file, string name)
    {
        if (!file.TryGet(name, out _))
            throw new FormatException($"tensor {name} is missing");
    }

    private static bool Fits(S2Config config, SafetensorsTensor tensor)
    {
        int[] shape = [.. tensor.Values.Shape];
        int queries = config.Heads * config.HeadDim, keys = config.KvHeads * config.HeadDim;
        return tensor.Name switch
        {
            "q" or "o" or "do" or "dq" => shape.SequenceEqual([config.Batch, config.Tokens, config.Heads, config.HeadDim]),
            "k" or "v" or "dk" or "dv" => shape.SequenceEqual([config.Batch, config.Tokens, config.KvHeads, config.HeadDim]),
            "valid" => shape.SequenceEqual([config.Batch, config.Tokens]),
            "x" or "y" or "dx" or "dy" => shape.SequenceEqual([config.Batch, config.Tokens, queries]),
            "wq" or "dwq" => shape.SequenceEqual([queries, queries]),
            "wk" or "wv" or "dwk" or "dwv" => shape.SequenceEqual([keys, queries]),
            "wo" or "dwo" => shape.SequenceEqual([queries, queries]),
            "bq" or "dbq" => shape.SequenceEqual([queries]),
            "bk" or "bv" or "dbk" or "dbv" => shape.SequenceEqual([keys]),
            "bo" or "dbo" => shape.SequenceEqual([queries]),
            "cos" or "sin" => shape is [var tokens, var rotary] && tokens == config.Tokens && rotary % 2 == 0 && rotary <= config.HeadDim && rotary >= 2,
            _ => false,
        };
    }
}
