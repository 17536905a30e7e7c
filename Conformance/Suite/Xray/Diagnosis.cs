// A port fails a property: which bug does it have, and what is its author to change?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>What the author of a failing port is told.</summary>
/// <param name="Names">The compositions of defects that explain every answer at all probed sizes, the best known first, and the numerical habits; empty where none does.</param>
/// <param name="Sentences">What is wrong and what to change, or where the port differs from what is nearest to it.</param>
/// <param name="Report">The X-ray that it rests on; empty where the port gave nothing to look at.</param>
public sealed record Diagnosis(ImmutableArray<string> Names, ImmutableArray<string> Sentences, ImmutableArray<XrayReport> Report)
{
    private const int MostWords = 6;

    /// <summary>X-rays a port under every mask that it declares.</summary>
    /// <param name="port">The port; it is not disposed.</param>
    /// <param name="cancellation">Ends the work between questions.</param>
    public static Diagnosis Of(IAttentionPort port, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(port);
        PortCapabilities capabilities = port.Description.Capabilities;
        if (capabilities.Masks.IsEmpty || capabilities.ElementTypes.IsEmpty)
            return Nothing("the port declares no mask or no element type");
        if (!capabilities.Fixed.Axes.IsEmpty)
            return OfGrids(port, cancellation);
        S2Request request = Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0]));
        try
        {
            return S2Config.TryCreate(request) switch
            {
                ConfigResult.Valid valid => Of(Xrays.Take(port, Xrays.Probes(capabilities, capabilities.Masks, valid.Config), cancellation)),
                var invalid => Nothing($"{invalid}"),
            };
        }
        catch (OperationCanceledException)
        {
            return Nothing("the run was stopped before");
        }
        catch (Exception error) when (error is XrayFailedException or FormatException)
        {
            return Nothing(error.Message);
        }
    }

    /// <summary>What is said of a port whose axes are built in, and which answers no text.</summary>
    private static Diagnosis OfGrids(IAttentionPort port, CancellationToken cancellation)
    {
        try
        {
            PartFinding finding = Xrays.FindGrids(port, cancellation);
            return new(
                finding.Names,
                finding.IsDefinition ? ["An X-ray of its axes shows the definition: what fails is not visible in which queries, keys and values are read."] : [.. finding.Sentences(port.Description.Name)],
                []);
        }
        catch (OperationCanceledException)
        {
            return Nothing("the run was stopped before");
        }
    }

    /// <summary>What an X-ray says.</summary>
    public static Diagnosis Of(XrayReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        string[] words =
        [
            .. from picture in report.Pictures
               from sentence in picture.Words
               group picture by sentence into pictures
               select $"{pictures.Key} (at {pictures.First().Probe})",
        ];
        ImmutableArray<string> names = [.. report.Explanation.Names.Where(_ => !report.Explanation.IsDefinition), .. report.Habits.SelectMany(habit => habit.Names), .. report.Parts.SelectMany(part => part.Names)];
        return report.IsDefinition && report.Habits.IsEmpty
            ? new([], ["An X-ray shows the definition: what fails is not visible in which queries, keys and values are read, nor at small sizes in the numbers."], [report])
            : new(names, [.. report.Verdict, .. words.Take(report.Explanation.IsWhole ? 1 : MostWords)], [report]);
    }

    private static Diagnosis Nothing(string reason) => new([], [$"The port could not be X-rayed: {reason.TrimEnd('.')}."], []);
}
