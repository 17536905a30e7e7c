// What does a decoder ask of its attention?
namespace S2Attn.Experiments.Model;

/// <summary>Attention of the layers of a decoder to the rows that it is given.</summary>
internal interface IAttention : IDisposable
{
    /// <summary>o and logsumexp of a layer.</summary>
    /// <param name="layer">The layer, from 0.</param>
    /// <param name="query">q [rows,H,D], turned.</param>
    /// <param name="key">k [rows,H,D], turned.</param>
    /// <param name="value">v [rows,H,D].</param>
    /// <param name="mixed">o [rows,H,D]; written.</param>
    /// <param name="logSumExp">[rows,H]; written.</param>
    void Forward(int layer, ReadOnlySpan<float> query, ReadOnlySpan<float> key, ReadOnlySpan<float> value, Span<float> mixed, Span<float> logSumExp);
}
