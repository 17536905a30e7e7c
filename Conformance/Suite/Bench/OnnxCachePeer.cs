// What does ONNX Runtime's attention with a cache take for one token?
using System.Collections.Immutable;
using Microsoft.ML.OnnxRuntime;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Bench;

/// <summary>
/// ONNX Runtime's GroupQueryAttention for the last token of a sequence: the cache is input and output at once, so that nothing is copied but the token's own key and value, as a generation loop
/// binds it. f32 and f16; there is no bf16 kernel on CPUs.
/// </summary>
internal sealed class OnnxCachePeer : OnnxBound
{
    // Numbers of TensorProto.DataType.
    private const int Float = 1, Int32 = 6, Float16 = 10;

    private OnnxCachePeer(byte[] model, int threads)
        : base(model, threads)
    {
    }

    /// <summary>The operator over f32: key and value [K, keys, D] head-major as it keeps them, query [H, D], the token's own key and value among the cached ones.</summary>
    public static OnnxCachePeer OfSingle(int heads, int kvHeads, int headDim, int threads, float[] query, float[] key, float[] value, float[] output) =>
        Open(Float, heads, kvHeads, headDim, threads, query, key, value, output, elements => elements);

    /// <summary>The operator over f16.</summary>
    public static OnnxCachePeer OfHalf(int heads, int kvHeads, int headDim, int threads, Half[] query, Half[] key, Half[] value, Half[] output) =>
        Open(Float16, heads, kvHeads, headDim, threads, query, key, value, output, elements => Array.ConvertAll(elements, element => new Float16(BitConverter.HalfToUInt16Bits(element))));

    private static OnnxCachePeer Open<T, TOrt>(int type, int heads, int kvHeads, int headDim, int threads, T[] query, T[] key, T[] value, T[] output, Func<T[], TOrt[]> view)
        where T : unmanaged
        where TOrt : unmanaged
    {
        int keys = key.Length / kvHeads / headDim;
        ImmutableArray<string> cached = ["batch", "kv_heads", "keys", "head_dim"], row = ["batch", "one", "width"];
        OnnxGraph graph = new("decode");
        graph.ContribOutputs(
            "GroupQueryAttention",
            [
                graph.TypedInput("query", type, row), graph.TypedInput("key", type, "batch", "one", "kv_width"), graph.TypedInput("value", type, "batch", "one", "kv_width"),
                graph.TypedInput("past_key", type, cached), graph.TypedInput("past_value", type, cached), graph.TypedInput("last", Int32, "batch"), graph.TypedInput("total", Int32, "one"),
            ],
            [("output", type, row), ("present_key", type, cached), ("present_value", type, cached)],
            ("num_heads", heads), ("kv_num_heads", kvHeads));
        OnnxCachePeer peer = new(graph.ToModel(), threads);
        OrtValue pastKey = peer.Tensor(view(key), 1, kvHeads, keys, headDim), pastValue = peer.Tensor(view(value), 1, kvHeads, keys, headDim);
        peer.Binding.BindInput("query", peer.Tensor(view(query), 1, 1, heads * headDim));
        peer.Binding.BindInput("key", peer.Tensor(view(LastOf(key)), 1, 1, kvHeads * headDim));
        peer.Binding.BindInput("value", peer.Tensor(view(LastOf(value)), 1, 1, kvHeads * headDim));
        peer.Binding.BindInput("past_key", pastKey);
        peer.Binding.BindInput("past_value", pastValue);
        peer.Binding.BindInput("last", peer.Tensor([keys - 1], 1));
        peer.Binding.BindInput("total", peer.Tensor([keys], 1));
        peer.Binding.BindOutput("output", peer.Tensor(view(output), 1, 1, heads * headDim));
        peer.Binding.BindOutput("present_key", pastKey);
        peer.Binding.BindOutput("present_value", pastValue);
        return peer;

        T[] LastOf(T[] all) => [.. Enumerable.Range(0, kvHeads).SelectMany(head => all[(((head + 1) * keys - 1) * headDim)..((head + 1) * keys * headDim)])];
    }
}
