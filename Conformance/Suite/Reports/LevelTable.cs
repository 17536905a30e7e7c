// The levels with their evidence as the Markdown table that the port protocol shows.
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Reports;

/// <summary>Renders <see cref="LevelEvidence"/>.</summary>
public static class LevelTable
{
    /// <summary>One row for each level: its name, what claims it, and the kinds of cases that it rests on.</summary>
    public static string Markdown()
    {
        StringBuilder table = new("| level | claimed by | earned by cases of each of these kinds |\n| --- | --- | --- |\n");
        foreach (PortLevel level in PortLevels.All)
            table.Append(CultureInfo.InvariantCulture, $"| {(int)level} {level.Title()} | {ClaimedBy(level)} | {string.Join("; ", LevelEvidence.Kinds.Where(kind => kind.Level == level).Select(kind => kind.Name))} |\n");
        return table.Replace("<", "&lt;").ToString();
    }

    private static string ClaimedBy(PortLevel level) => level switch
    {
        PortLevel.Forward => "`ops` forward, `dtypes` f32, at least one mask",
        PortLevel.MasksAndPadding => "all five masks, `padding`",
        PortLevel.GroupedAndOddSizes => "`gqa`, `oddGroup`, and `ragged` if a Split mask is declared",
        PortLevel.HalfPrecision => "`dtypes` f16 or bf16 (each that is declared must hold)",
        PortLevel.Gradients => "`ops` backward",
        PortLevel.Isolation => "`isolation`; asked of every port",
        _ => throw new ArgumentOutOfRangeException(nameof(level), level, "Unknown level."),
    };
}
