// What does --help show? Every text whole, at any width of a terminal and in a pipe.
using System.Collections;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Globalization;
using S2Attn.Cli.Rendering;

namespace S2Attn.Cli;

/// <summary>The description of a command, how it is called, its arguments, options and commands.</summary>
internal sealed class Help : SynchronousCommandLineAction
{
    private const int Indent = 2, Column = 28;

    /// <summary>Takes the place of the parser's own help, which cuts words that are longer than its columns.</summary>
    public static void Attach(RootCommand root)
    {
        foreach (HelpOption option in root.Options.OfType<HelpOption>())
            option.Action = new Help();
    }

    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        Command command = parseResult.CommandResult.Command;
        Option[] options = [.. command.Options.Where(option => !option.Hidden)];
        Page.Write(command.Description ?? "");
        Page.Gap();
        Page.Write(string.Join(' ', ["usage:", Misuse.Asked(parseResult.CommandResult), .. command.Subcommands.Count > 0 ? ["COMMAND"] : command.Arguments.Select(Name), "[options]"]));
        Section("arguments", command.Arguments.Select(argument => (Name(argument), argument.Description ?? "")));
        Section("options", options.Select(option => (Signature(option), Description(option))).Append(("--help", "Show this.")).DistinctBy(row => row.Item1.Split(' ')[0]));
        Section("commands", command.Subcommands.Where(inner => !inner.Hidden).OrderBy(inner => inner.Name, StringComparer.Ordinal).Select(inner => (inner.Name, inner.Description ?? "")));
        return ExitCode.Holds;
    }

    private static void Section(string title, IEnumerable<(string Name, string Text)> rows)
    {
        bool begun = false;
        foreach ((string name, string text) in rows)
        {
            if (!begun)
            {
                Page.Gap();
                Page.Write($"{title}:");
                begun = true;
            }

            Page.Write(name, text, Indent, Column);
        }
    }

    private static string Name(Argument argument) => $"<{argument.HelpName ?? argument.Name}>";

    private static string Signature(Option option) => option is HelpOption ? "--help" : option.ValueType == typeof(bool) || option is VersionOption ? option.Name : $"{option.Name} <{option.HelpName ?? "VALUE"}>";

    private static string Description(Option option)
    {
        if (option is HelpOption)
            return "Show this.";
        string[] names = Nullable.GetUnderlyingType(option.ValueType) is { IsEnum: true } some ? Enum.GetNames(some) : option.ValueType.IsEnum ? Enum.GetNames(option.ValueType) : [];
        string text = option.Description ?? "";
        if (option.HelpName is null && names.Length > 0)
            text += $" One of {string.Join(", ", names)}.";
        if (option.Required)
            text += " Must be given.";
        return option.HasDefaultValue && option.GetDefaultValue() is { } value and not (false or "" or ICollection { Count: 0 })
            ? $"{text} Where not given: {Convert.ToString(value, CultureInfo.InvariantCulture)}."
            : text;
    }
}
