// The command line of s2attn: one file a command. Exit code 2 means bad usage or input, told in one line on stderr.
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using S2Attn.Cli;
using S2Attn.Conformance.Ports;
using Console = S2Attn.Cli.Console;

// Numbers on the command line and in what is printed have a point, wherever the machine stands: an image may switch the invariant mode of the build off.
CultureInfo.CurrentCulture = CultureInfo.CurrentUICulture = CultureInfo.DefaultThreadCurrentCulture = CultureInfo.DefaultThreadCurrentUICulture = CultureInfo.InvariantCulture;

// Who wants no colour wants no cursor steered either; .NET writes what $TERM says at its first use of a terminal.
if (Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 })
    Environment.SetEnvironmentVariable("TERM", "dumb");
Carried.Attach();

RootCommand root = new("s2attn: the executable standard for Shifted Sparse Attention (S2-Attn).")
{
    CampaignCommand.Create(),
    CheckCommand.Create(CheckSources.Own),
    CompareCommand.Create(),
    DescribeCommand.Create(),
    ExperimentCommand.Create(),
    BenchCommand.Create(),
    GoldenCommand.Create(),
    GraphCommand.Create(),
    MutantsCommand.Create(),
    NewCommand.Create(),
    ProveCommand.Create(),
    ReproduceCommand.Create(),
    ServeCommand.Create(),
    XrayCommand.Create(),
};
Help.Attach(root);
NumberRange.Attach(root);

// These keep what they have found when they are told to end; the others end at once.
string[] keepers = ["bench", "check", "experiment", "golden", "mutants", "prove", "xray"];
ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    Console.Error.WriteLine(Misuse.Of(parsed));
    return ExitCode.Trouble;
}

Console.Attach();
Interruption.WindDown(keepers.Contains(Outermost(parsed.CommandResult)) ? TimeSpan.FromSeconds(20) : TimeSpan.Zero);
int code;
try
{
    code = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false }, Interruption.Token);
}
catch (OperationCanceledException) when (Interruption.Token.IsCancellationRequested)
{
    Console.Error.WriteLine("s2attn: stopped");
    code = ExitCode.Trouble;
}
catch (Exception error)
{
    // Whatever it is, it is no verdict about a port.
    Console.Error.WriteLine($"s2attn: this is a fault of s2attn itself, please report it: {error}");
    code = ExitCode.Trouble;
}

if (Interruption.ExitCode > 0)
    return Interruption.ExitCode;
string[] lost = [.. new[] { Console.Failure.Length > 0 ? $"stdout could not be written: {Console.Failure}" : "", PortLog.Failure }.Where(text => text.Length > 0)];
foreach (string text in lost)
    Console.Error.WriteLine($"s2attn: {text}");
return lost.Length > 0 ? ExitCode.Trouble : code;

// The command that a command such as "experiment run" belongs to.
static string Outermost(CommandResult result) => result.Parent is CommandResult { Parent: CommandResult } parent ? Outermost(parent) : result.Command.Name;
