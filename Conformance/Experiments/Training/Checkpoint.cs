// What of a run is kept on disk, and is it read back to the last bit?
using System.Collections.Immutable;
using S2Attn.Conformance.Safetensors;
using S2Attn.Experiments.Model;
using S2Attn.Reference;

namespace S2Attn.Experiments.Training;

/// <summary>Safetensors files: the parameters of a decoder, or all of a run that is under way.</summary>
internal static class Checkpoint
{
    private const string LossesName = "losses", SetupKey = "setup", MeanSuffix = ".mean", SquareSuffix = ".square";

    /// <summary>Writes a decoder's parameters.</summary>
    public static void WriteParameters(string path, DecoderParameters parameters, string setup) =>
        SafetensorsWriter.Write(path, new([.. parameters.All.Select(Stored)], Metadata(setup)));

    /// <summary>Reads them into <paramref name="parameters"/>.</summary>
    /// <exception cref="SafetensorsException">The file is broken, or of something else.</exception>
    public static void ReadParameters(string path, DecoderParameters parameters, string setup)
    {
        SafetensorsFile file = SafetensorsReader.Read(path);
        CheckSetup(path, file, setup);
        foreach (Parameter parameter in parameters.All)
            Read(path, file, parameter.Name, parameter.Values);
    }

    /// <summary>Writes what a run needs to go on.</summary>
    public static void WriteRun(string path, Trainer run)
    {
        IEnumerable<SafetensorsTensor> moments = run.Trainable.Parameters.SelectMany((parameter, i) => new[]
        {
            Stored(parameter.Name + MeanSuffix, parameter, run.Optimizer.Means[i]),
            Stored(parameter.Name + SquareSuffix, parameter, run.Optimizer.Squares[i]),
        });
        SafetensorsTensor losses = new(LossesName, SafetensorsType.F64, Tensor<double>.Build([run.Done], i => run.Losses[i]));
        SafetensorsWriter.Write(path, new([.. run.Trainable.Parameters.Select(Stored), .. moments, losses], Metadata(run.Setup.Describe())));
    }

    /// <summary>Whether a file is of this run.</summary>
    /// <exception cref="SafetensorsException">The file is broken.</exception>
    public static bool IsOf(string path, Trainer run) => SafetensorsReader.ReadHeader(path).Metadata.GetValueOrDefault(SetupKey) == run.Setup.Describe();

    /// <summary>Brings a run that was built from the same setup and parameters to where it was.</summary>
    /// <exception cref="SafetensorsException">The file is broken, or of another run.</exception>
    public static void ReadRun(string path, Trainer run)
    {
        SafetensorsFile file = SafetensorsReader.Read(path);
        CheckSetup(path, file, run.Setup.Describe());
        if (!file.TryGet(LossesName, out SafetensorsTensor? losses) || losses.Values.Elements.Length > run.Setup.Steps)
            throw new SafetensorsException(path, $"it lacks tensor {LossesName} of at most {run.Setup.Steps} elements");
        for (int i = 0; i < run.Trainable.Parameters.Length; i++)
        {
            Parameter parameter = run.Trainable.Parameters[i];
            Read(path, file, parameter.Name, parameter.Values);
            Read(path, file, parameter.Name + MeanSuffix, run.Optimizer.Means[i]);
            Read(path, file, parameter.Name + SquareSuffix, run.Optimizer.Squares[i]);
        }

        run.Losses.Clear();
        run.Losses.AddRange(losses.Values.Elements);
        run.ApplyAdapters();
    }

    private static ImmutableSortedDictionary<string, string> Metadata(string setup) => ImmutableSortedDictionary<string, string>.Empty.Add(SetupKey, setup);

    private static SafetensorsTensor Stored(Parameter parameter) => Stored(parameter.Name, parameter, parameter.Values);

    private static SafetensorsTensor Stored(string name, Parameter parameter, float[] values) =>
        new(name, SafetensorsType.F32, Tensor<double>.Build([parameter.Rows, parameter.Columns], i => values[i]));

    private static void CheckSetup(string path, SafetensorsFile file, string setup)
    {
        if (file.Metadata.GetValueOrDefault(SetupKey) is var found && found != setup)
            throw new SafetensorsException(path, $"it is of another run: {found ?? "none"} instead of {setup}");
    }

    private static void Read(string path, SafetensorsFile file, string name, float[] values)
    {
        if (!file.TryGet(name, out SafetensorsTensor? tensor) || tensor.Values.Elements.Length != values.Length)
            throw new SafetensorsException(path, $"it lacks tensor {name} of {values.Length} elements");
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)tensor.Values.Elements[i];
    }
}
