// The command line of s2attn: one file a command.
using System.CommandLine;
using S2Attn.Cli;

RootCommand root = new("s2attn: the executable standard for Shifted Sparse Attention.")
{
    ServeCommand.Create(),
};
return root.Parse(args).Invoke();
