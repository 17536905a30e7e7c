// Which program and arguments does the text of --port name?
using System.Collections.Immutable;
using System.Text;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Splits a command as a person writes it. No shell is started: there are no variables, globs, pipes or redirections.
/// </summary>
/// <remarks>
/// Arguments are separated by white space. Text between single quotes is literal. Between double quotes, and outside of quotes, a backslash before a
/// white space, a quote or a backslash stands for that character; before anything else it is itself, so that Windows paths can be written plainly.
/// Adjoining pieces are one argument: a'b c'"d" is "ab cd". "" is an empty argument.
/// </remarks>
public static class CommandText
{
    /// <summary>Splits the command.</summary>
    /// <exception cref="FormatException">The text is empty, or a quote is not closed.</exception>
    public static ImmutableArray<string> Split(string command)
    {
        ArgumentNullException.ThrowIfNull(command);
        var arguments = ImmutableArray.CreateBuilder<string>();
        StringBuilder? argument = null;
        char quote = '\0';
        for (int i = 0; i < command.Length; i++)
        {
            char c = command[i];
            if (quote == '\0' && char.IsWhiteSpace(c))
            {
                if (argument is not null)
                    arguments.Add(argument.ToString());
                argument = null;
                continue;
            }

            argument ??= new();
            if (quote != '\0' && c == quote)
                quote = '\0';
            else if (quote == '\0' && c is '\'' or '"')
                quote = c;
            else if (c == '\\' && quote != '\'' && i + 1 < command.Length && (command[i + 1] is '\\' or '\'' or '"' || char.IsWhiteSpace(command[i + 1])))
                argument.Append(command[++i]);
            else
                argument.Append(c);
        }

        if (quote != '\0')
            throw new FormatException($"The port command has a {quote} that is not closed: {command}");
        if (argument is not null)
            arguments.Add(argument.ToString());
        return arguments.Count == 0 || arguments[0].Length == 0
            ? throw new FormatException("The port command is empty; it must name a program, as in: --port \"python3 my_port.py\"")
            : arguments.ToImmutable();
    }
}
