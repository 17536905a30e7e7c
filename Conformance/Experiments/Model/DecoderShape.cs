// How large is the decoder?
namespace S2Attn.Experiments.Model;

/// <summary>A decoder's sizes. Widths are multiples of 8, a head's of 16, so that no vector is cut.</summary>
/// <param name="Vocabulary">V, kinds of tokens; at most 256.</param>
/// <param name="Width">d, elements of a token's vector.</param>
/// <param name="Layers">L.</param>
/// <param name="Heads">H; a head has d / H elements.</param>
/// <param name="Hidden">Elements of the hidden layer of an MLP.</param>
public sealed record DecoderShape(int Vocabulary, int Width, int Layers, int Heads, int Hidden)
{
    private const int VectorLanes = 8, HeadLanes = 16, MaxVocabulary = 256, MaxSize = 1 << 14;

    /// <summary>D, elements of a head's vector.</summary>
    public int HeadDim => Width / Heads;

    /// <summary>Refuses sizes that the decoder cannot have.</summary>
    /// <exception cref="ArgumentException">The message names the size, its value and the rule.</exception>
    public DecoderShape Checked()
    {
        Check(nameof(Vocabulary), Vocabulary, Vocabulary is >= VectorLanes and <= MaxVocabulary && Vocabulary % VectorLanes == 0, "a multiple of 8 up to 256");
        Check(nameof(Layers), Layers, Layers is >= 1 and <= MaxSize, "from 1 to 16384");
        Check(nameof(Heads), Heads, Heads is >= 1 and <= MaxSize, "from 1 to 16384");
        Check(nameof(Width), Width, Width is >= 1 and <= MaxSize && Width % (Heads * HeadLanes) == 0, $"a multiple of 16 Heads = {HeadLanes * Heads} up to 16384");
        Check(nameof(Hidden), Hidden, Hidden is >= 1 and <= MaxSize && Hidden % VectorLanes == 0, "a multiple of 8 up to 16384");
        return this;
    }

    private static void Check(string name, int value, bool holds, string rule)
    {
        if (!holds)
            throw new ArgumentException($"{name} = {value}: must be {rule}", name);
    }
}
