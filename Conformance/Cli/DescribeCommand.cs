// s2attn describe: does a port start, and what does it claim? The first thing to try with a new port.
using System.Collections.Immutable;
using System.CommandLine;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

internal static class DescribeCommand
{
    public static Command Create()
    {
        Command command = new("describe", "Start a port and print what it declares, which levels it claims, and what the others still need.");
        PortOptions options = new(command);
        command.SetAction(result =>
        {
            try
            {
                using IAttentionPort port = options.Open(result);
                Print(port.Description);
                return 0;
            }
            catch (Exception error) when (error is PortStartException or FormatException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"s2attn: {error.Message}");
                return 2;
            }
        });
        return command;
    }

    private static void Print(PortDescription description)
    {
        Console.WriteLine($"{description.Name} {description.Version} ({description.Language})");
        Console.WriteLine($"declares {PortDescriptions.CapabilitiesJson(description.Capabilities)}");
        foreach (PortLevel level in PortLevels.All)
        {
            ImmutableArray<string> lacks = level.Lacks(description.Capabilities);
            string standing = lacks.IsEmpty ? "claimed"
                : level is PortLevel.Isolation && PortLevel.Forward.Lacks(description.Capabilities).IsEmpty ? "asked of every port; it counts against one only that declares isolation"
                : $"not claimed, lacks {string.Join(", ", lacks)}";
            Console.WriteLine($"level {(int)level}, {level.Title()}: {standing}");
        }
    }
}
