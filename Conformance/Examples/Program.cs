// Trains the copy task with and without the shift, prints both losses and draws them; or draws how far patterns of shifts reach; or generates text with a cache and without.
using S2Attn.Examples;
using ScottPlot;

if (args is ["reach", ..])
{
    ReachCurves.Draw(args.Length > 1 ? args[1] : "reach.png");
    return;
}

if (args is ["generate", ..])
{
    const int Group = 256, New = 128;
    int length = args.Length > 1 ? int.Parse(args[1], System.Globalization.CultureInfo.InvariantCulture) : 512;
    Generation model = new(Group, seed: 1);
    int[] prompt = Generation.Prompt(length, seed: 2), cached = model.WithCache(prompt, New, out TimeSpan quick), again = model.ByComputingAgain(prompt, New, out TimeSpan slow);
    Console.WriteLine($"{New} tokens behind a prompt of {length}, G = {Group}: {New / quick.TotalSeconds:F0} tokens a second with the cache, {New / slow.TotalSeconds:F0} by computing everything again; {(cached.SequenceEqual(again) ? "the same tokens" : "OTHER tokens")}");
    return;
}

const int Steps = 120, Seed = 1, Width = 720, Height = 400;
string picture = args.Length > 0 ? args[0] : "copy-task.png";

double[] shifted = Train(true), unshifted = Train(false);
Console.WriteLine($"loss after {Steps} steps (chance is {CopyTask.Chance:F3} nats): S2 {shifted[^1]:F3}, unshifted groups {unshifted[^1]:F3}");

using Plot plot = new();
Add(shifted, "S2: half of the heads shifted");
Add(unshifted, "unshifted groups");
plot.Add.HorizontalLine(CopyTask.Chance, pattern: LinePattern.Dotted).LegendText = "chance";
plot.Title("Copying across a group border");
plot.XLabel("step");
plot.YLabel("cross-entropy (nats)");
plot.Axes.SetLimitsY(0, 1.2 * CopyTask.Chance);
plot.ShowLegend(Alignment.MiddleRight);
plot.SavePng(picture, Width, Height);
Console.WriteLine($"curves drawn to {picture}");

double[] Train(bool shift)
{
    using CopyTask task = new(shift, Seed);
    return [.. Enumerable.Range(0, Steps).Select(_ => task.Step())];
}

void Add(double[] losses, string name)
{
    var curve = plot.Add.Signal(losses);
    curve.LegendText = name;
    curve.LineWidth = 2;
}
