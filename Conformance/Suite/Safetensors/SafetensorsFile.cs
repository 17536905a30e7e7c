// What does a .safetensors file hold?
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using S2Attn.Reference;

namespace S2Attn.Conformance.Safetensors;

/// <summary>A named tensor and the type of its elements; each value is the double that equals the stored element.</summary>
public sealed record SafetensorsTensor(string Name, SafetensorsType Type, Tensor<double> Values);

/// <summary>Tensors in the order of their bytes, and the metadata.</summary>
public sealed record SafetensorsFile(ImmutableArray<SafetensorsTensor> Tensors, ImmutableSortedDictionary<string, string> Metadata)
{
    /// <summary>A file without metadata.</summary>
    public SafetensorsFile(IEnumerable<SafetensorsTensor> tensors)
        : this([.. tensors], ImmutableSortedDictionary<string, string>.Empty)
    {
    }

    /// <summary>The tensor of this name.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out SafetensorsTensor? tensor)
    {
        tensor = Tensors.FirstOrDefault(candidate => candidate.Name == name);
        return tensor is not null;
    }
}

/// <summary>What the header says of one tensor. Offsets count from the first byte behind the header.</summary>
public sealed record SafetensorsEntry(string Name, SafetensorsType Type, ImmutableArray<int> Shape, long Begin, long End)
{
    /// <summary>The number of elements.</summary>
    public int Count => (int)((End - Begin) / Type.Size());
}

/// <summary>A header that keeps every rule of the format for a file of the given length.</summary>
/// <param name="Entries">In the order of their bytes: the first begins at 0, each ends where the next begins, the last ends with the file.</param>
/// <param name="Metadata">The strings of __metadata__.</param>
/// <param name="DataStart">Position of the first byte behind the header.</param>
public sealed record SafetensorsHeader(ImmutableArray<SafetensorsEntry> Entries, ImmutableSortedDictionary<string, string> Metadata, long DataStart)
{
    /// <summary>The longest header that the format allows: 100 MB.</summary>
    public const long MaxBytes = 100_000_000;

    /// <summary>Nesting: the header, an entry, its list.</summary>
    public const int MaxDepth = 3;
}
