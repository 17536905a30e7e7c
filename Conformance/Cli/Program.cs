// The command line of s2attn: one file a command. Exit code 2 means bad usage or input, told in one line on stderr.
using System.CommandLine;
using S2Attn.Cli;

RootCommand root = new("s2attn: the executable standard for Shifted Sparse Attention (S2-Attn).")
{
    CampaignCommand.Create(),
    CheckCommand.Create(),
    CompareCommand.Create(),
    DescribeCommand.Create(),
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
ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count == 0)
    return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(30) });
Console.Error.WriteLine($"s2attn: {parsed.Errors[0].Message} (--help lists what there is)");
return 2;
