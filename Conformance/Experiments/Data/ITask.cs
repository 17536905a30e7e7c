// What is a decoder asked to learn?
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Data;

/// <summary>Which texts are drawn.</summary>
internal enum Portion
{
    /// <summary>For training.</summary>
    Train,

    /// <summary>For choices, as of the learning rate.</summary>
    Validation,

    /// <summary>For the figures that are printed; looked at once.</summary>
    Test,
}

/// <summary>A source of sequences with right answers.</summary>
internal interface ITask
{
    /// <summary>V, kinds of tokens.</summary>
    int Vocabulary { get; }

    /// <summary>What the targets are told apart by, as a distance or a place in the text.</summary>
    IReadOnlyList<string> Buckets { get; }

    /// <summary>Writes one sequence.</summary>
    /// <param name="portion">Which texts.</param>
    /// <param name="random">Decides the sequence.</param>
    /// <param name="tokens">N tokens, written.</param>
    /// <param name="targets">For each the right next token, or -1 where none is asked for; written.</param>
    /// <param name="buckets">For each the index of its bucket; written where there is a target.</param>
    void Draw(Portion portion, Randomness random, Span<byte> tokens, Span<int> targets, Span<int> buckets);
}
