// Which matrices are drawn, when several heads look the same?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>One cell of a drawn matrix: a query token and a key token.</summary>
/// <param name="Seen">Whether the port's row holds something of the key's value, in any kv head.</param>
/// <param name="Right">Whether the definition's does.</param>
/// <param name="Foreign">Whether what it holds comes from a wrong kv head.</param>
public readonly record struct Cell(bool Seen, bool Right, bool Foreign);

/// <summary>The matrix of some heads of one batch entry that look the same: row t, column u.</summary>
public sealed record HeadPicture(int Batch, ImmutableArray<int> Heads, int Shift, ImmutableArray<ImmutableArray<Cell>> Rows)
{
    /// <summary>The batch entries that look the same, <see cref="Batch"/> first.</summary>
    public ImmutableArray<int> Entries { get; init; } = [Batch];

    /// <summary>Whether it is the definition's.</summary>
    public bool IsRight => Rows.All(row => row.All(cell => cell.Seen == cell.Right && !cell.Foreign));

    /// <summary>One matrix for each batch entry and set of heads that look the same and are asked to.</summary>
    public static ImmutableArray<HeadPicture> Of(XrayPicture picture)
    {
        ArgumentNullException.ThrowIfNull(picture);
        XrayProbe probe = picture.Probe;
        HeadPicture[] each =
        [
            .. from b in Enumerable.Range(0, probe.Config.Batch)
               from same in Enumerable.Range(0, probe.Config.Heads)
                   .Select(head => (Head: head, Rows: Matrix(picture, b, head)))
                   .GroupBy(item => (probe.Config.ShiftOf(item.Head), string.Join("|", item.Rows.Select(row => string.Concat(row.Select(cell => $"{cell.Seen}{cell.Right}{cell.Foreign}"))))))
               select new HeadPicture(b, [.. same.Select(item => item.Head)], same.Key.Item1, same.First().Rows),
        ];
        return
        [
            .. each.GroupBy(item => (string.Join(",", item.Heads), item.Shift, string.Join("|", item.Rows.Select(row => string.Concat(row.Select(cell => $"{cell.Seen}{cell.Right}{cell.Foreign}"))))))
                .Select(same => same.First() with { Entries = [.. same.Select(item => item.Batch)] }),
        ];
    }

    /// <summary>Each row as text, one sign for each cell.</summary>
    public IEnumerable<string> Lines(Func<Cell, char> sign) => Rows.Select(row => string.Concat(row.Select(sign)));

    private static ImmutableArray<ImmutableArray<Cell>> Matrix(XrayPicture picture, int b, int head)
    {
        int tokens = picture.Probe.Config.Tokens, kvHead = picture.Probe.Config.KvHeadOf(head);
        return
        [
            .. Enumerable.Range(0, tokens).Select(t => Enumerable.Range(0, tokens).Select(u =>
            {
                Place row = new(b, t, head);
                bool seen = VisibilityWords.Sees(picture.Seen, row, u);
                return new Cell(seen, VisibilityWords.Sees(picture.Definition, row, u), seen && !picture.Seen.Sees(row, new(b, u, kvHead)));
            }).ToImmutableArray()),
        ];
    }
}
