// Which numbers may stand behind an option?
using System.CommandLine;
using System.Globalization;

namespace S2Attn.Cli;

/// <summary>Refuses numbers out of range with option, value and rule. What is no number is told by the parser; asking a result for its value would throw here.</summary>
internal static class NumberRange
{
    /// <summary>Refuses commas in every option that takes a number: the parser would skip one, and 0,5 would be 5.</summary>
    public static void Attach(Command command)
    {
        foreach (Option option in command.Options.Where(option => (Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType) == typeof(double)))
            option.Validators.Add(result =>
            {
                if (result.Tokens is [var token] && token.Value.Contains(',', StringComparison.Ordinal))
                    result.AddError($"{option.Name} {token.Value}: must be a number, with a point where it has decimals");
            });
        foreach (Command inner in command.Subcommands)
            Attach(inner);
    }

    /// <summary>Whole numbers from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public static void MustBe(int least, int most, Option option) => option.Validators.Add(result =>
    {
        if (result.Tokens is [var token] && int.TryParse(token.Value, NumberStyles.Integer, CultureInfo.InvariantCulture, out int given) && (given < least || given > most))
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{option.Name} {given}: must be {(most == int.MaxValue ? "at least" : "from")} {least}{(most == int.MaxValue ? "" : $" to {most}")}"));
    });

    /// <summary>Numbers above 0, up to <paramref name="most"/>.</summary>
    public static void MustBeAbove0(double most, Option option) => option.Validators.Add(result =>
    {
        if (result.Tokens is [var token] && double.TryParse(token.Value, CultureInfo.InvariantCulture, out double given) && !(given > 0 && given <= most))
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{option.Name} {result.Tokens[0].Value}: must be more than 0 and at most {most}"));
    });
}
