// Which port does a name or a command mean?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Ports;

/// <summary>Opens ports by what a person writes on the command line.</summary>
public static class PortFactory
{
    internal const string MutantPrefix = "mutant:";

    private const string ProfilePrefix = "profile:";

    /// <summary>The ports that are part of this project, by name. Any other text is a command.</summary>
    public static ImmutableSortedDictionary<string, Func<IAttentionPort>> BuiltIn { get; } = new Dictionary<string, Func<IAttentionPort>>
    {
        ["optimized"] = () => new OptimizedPort(),
        ["reference"] = () => new ReferencePort(),
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    /// <summary>Opens a built-in port by its exact name, or starts the command.</summary>
    /// <param name="options">Limits of a command.</param>
    /// <param name="nameOrCommand">
    /// "optimized", "reference", "profile:NAME" or "mutant:NAME" (or "mutant:NAME+NAME") for a port with known bugs, or a command such as "python3 my_port.py"; see <see cref="CommandText"/>.
    /// </param>
    /// <exception cref="FormatException">The command is empty or has an open quote, or no profile or mutant has the name.</exception>
    /// <exception cref="PortStartException">The command cannot be started or does not answer describe.</exception>
    public static IAttentionPort Create(ProcessPortOptions options, string nameOrCommand)
    {
        ArgumentNullException.ThrowIfNull(nameOrCommand);
        string text = nameOrCommand.Trim();
        if (text.StartsWith(ProfilePrefix, StringComparison.Ordinal))
            return new ProfilePort(Named(text, ProfilePrefix, UpstreamProfiles.All, profile => profile.Name));
        if (text.StartsWith(MutantPrefix, StringComparison.Ordinal))
            return Mutant(text);
        return BuiltIn.TryGetValue(text, out Func<IAttentionPort>? create) ? create() : ProcessPort.Start(nameOrCommand, options);
    }

    /// <summary>Defects of different stages and numerical habits, joined by +; or one mistake about slices.</summary>
    private static IAttentionPort Mutant(string text)
    {
        string[] names = text[MutantPrefix.Length..].Split('+');
        if (names is [var single] && SliceMistake.All.FirstOrDefault(mistake => mistake.Name == single) is { } ofSlices)
            return new SliceMistakePort(text, ofSlices);
        ImmutableArray<NumericalHabit> habits = [.. NumericalHabit.All.Where(habit => names.Contains(habit.Name))];
        ImmutableArray<Defect> defects = [.. DefectCatalogue.Anywhere.Where(defect => names.Any(name => name == defect.Name || defect.Aliases.Contains(name)))];
        if (names.FirstOrDefault(name => !habits.Any(habit => habit.Name == name) && !defects.Any(defect => name == defect.Name || defect.Aliases.Contains(name))) is { } unknown)
            throw new FormatException($"{MutantPrefix}{unknown}: the names behind {MutantPrefix} are {string.Join(", ", DefectCatalogue.Anywhere.Select(defect => defect.Name).Concat(NumericalHabit.All.Select(habit => habit.Name)).Concat(SliceMistake.All.Select(mistake => mistake.Name)))}");
        return Composition.TryOf(defects, out Composition composition)
            ? new CompositionPort(text, composition, habits)
            : throw new FormatException($"{text}: two of these defects are of one stage, so one would hide the other");
    }

    private static T Named<T>(string text, string prefix, IReadOnlyCollection<T> all, Func<T, string> nameOf)
        where T : class =>
        all.FirstOrDefault(item => text == prefix + nameOf(item)) ?? throw new FormatException($"{text}: the names behind {prefix} are {string.Join(", ", all.Select(nameOf))}");

    /// <summary>Loads a shared library into a process of its own, so that its crash costs one case, and asks it over the port protocol.</summary>
    /// <param name="options">Limits of that process.</param>
    /// <param name="library">The library, which exports the functions of Conformance/Ports/c/s2attn_port.h.</param>
    /// <exception cref="PortStartException">It cannot be loaded, lacks a function, or describes itself wrongly.</exception>
    public static IAttentionPort CreateNative(ProcessPortOptions options, string library) =>
        ProcessPort.Start(SelfCommand.With("serve", "--native", Path.GetFullPath(library)), options);

    /// <summary>Loads an ONNX model into a process of its own, which a limit or a signal ends whatever node it is in, and asks it over the port protocol.</summary>
    /// <param name="options">Limits of that process.</param>
    /// <param name="model">The .onnx file, with inputs q, k and v; see <see cref="OnnxPort"/>.</param>
    /// <param name="settings">name=value pairs that replace or complete the model's metadata, as groupSize=4.</param>
    /// <exception cref="FormatException">A setting is no name=value pair.</exception>
    /// <exception cref="PortStartException">It cannot be loaded, or its declaration is incomplete.</exception>
    public static IAttentionPort CreateOnnx(ProcessPortOptions options, string model, IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ImmutableArray<string> given = [.. settings];
        if (OnnxSettings.Split(given).TryGetValue(OnnxSettings.Library, out string? library))
            given = [.. given.Where(setting => !setting.StartsWith(OnnxSettings.Library + "=", StringComparison.Ordinal)), $"{OnnxSettings.Library}={Path.GetFullPath(library)}"];
        return ProcessPort.Start(SelfCommand.With(["serve", "--onnx", Path.GetFullPath(model), .. given.SelectMany(setting => new[] { "--onnx-config", setting })]), options);
    }
}
