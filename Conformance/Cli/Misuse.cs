// What was wrong with a command line, and what was perhaps meant?
using System.CommandLine;

namespace S2Attn.Cli;

internal static class Misuse
{
    /// <summary>The first thing that is wrong, in one line, with the nearest name where a name was not known.</summary>
    public static string Of(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string asked = Asked(parsed.CommandResult);
        string help = $"{asked} --help lists what there is";
        string[] commands = [.. command.Subcommands.Select(sub => sub.Name).Order(StringComparer.Ordinal)];
        if (parsed.UnmatchedTokens.Count > 0)
        {
            string unknown = parsed.UnmatchedTokens[0];
            bool isOption = unknown.StartsWith('-') && unknown.Length > 1;
            string[] known = isOption || commands.Length == 0 ? [.. command.Options.Where(option => !option.Hidden).Select(option => option.Name)] : commands;
            string kind = isOption ? "option" : commands.Length > 0 ? "command" : "argument";
            return $"{asked}: there is no {kind} {unknown}{Meant(unknown, known)} ({(isOption || commands.Length == 0 ? help : $"there are {string.Join(", ", commands)}; {help}")})";
        }

        return commands.Length > 0
            ? $"{asked}: which command? There are {string.Join(", ", commands)} ({help})"
            : $"{asked}: {Unparsed(command, parsed) ?? parsed.Errors[0].Message} ({help})";
    }

    // The library's message names a type of .NET.
    private static string? Unparsed(Command command, ParseResult parsed) => (
        from option in command.Options
        let result = parsed.GetResult(option)
        where result is { Implicit: false, Tokens.Count: > 0 } && parsed.Errors[0].SymbolResult == result && parsed.Errors[0].Message.StartsWith("Cannot parse argument", StringComparison.Ordinal)
        let type = Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType
        let rule = type == typeof(int) ? "a whole number" : type == typeof(double) ? "a number" : type.IsEnum ? "one of " + string.Join(", ", Enum.GetNames(type)) : null
        where rule is not null
        select $"{option.Name} {result.Tokens[^1].Value}: must be {rule}").FirstOrDefault();

    /// <summary>The command as it was called: s2attn, and the names behind it.</summary>
    public static string Asked(System.CommandLine.Parsing.CommandResult result) => string.Join(' ', Path(result).Reverse());

    private static IEnumerable<string> Path(System.CommandLine.Parsing.SymbolResult result)
    {
        for (System.CommandLine.Parsing.SymbolResult? at = result; at is not null; at = at.Parent)
            if (at is System.CommandLine.Parsing.CommandResult named)
                yield return named.Command is RootCommand ? "s2attn" : named.Command.Name;
    }

    // A slip is an exchanged, missing or added letter or two, or an end that was left out.
    private static string Meant(string given, IEnumerable<string> known)
    {
        string[] near = [.. known.Select(name => (Name: name, Slips: name.StartsWith(given, StringComparison.Ordinal) ? 0 : Slips(given, name))).Where(item => item.Slips <= 2 && item.Slips < item.Name.TrimStart('-').Length).OrderBy(item => item.Slips).Select(item => item.Name).Take(2)];
        return near.Length > 0 ? $"; did you mean {string.Join(" or ", near)}?" : "";
    }

    /// <summary>How many letters must be added, removed, replaced or exchanged with their neighbour: the distance of Damerau and Levenshtein, without edits inside an exchange.</summary>
    internal static int Slips(string from, string to)
    {
        int[,] slips = new int[from.Length + 1, to.Length + 1];
        for (int i = 0; i <= from.Length; i++)
            for (int j = 0; j <= to.Length; j++)
            {
                slips[i, j] = i == 0 || j == 0 ? i + j : Math.Min(Math.Min(slips[i - 1, j], slips[i, j - 1]) + 1, slips[i - 1, j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                    slips[i, j] = Math.Min(slips[i, j], slips[i - 2, j - 2] + 1);
            }

        return slips[from.Length, to.Length];
    }
}
