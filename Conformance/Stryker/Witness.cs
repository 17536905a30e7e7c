// Which tests are run for a mutant, and how is one of them called?
using System.Reflection;
using System.Runtime.Loader;
using Xunit.Sdk;

namespace S2Attn.Stryker;

/// <summary>One test with its arguments, called without a host.</summary>
internal sealed record Witness(MethodInfo Method, int Row)
{
    public string Name => Row < 0 ? $"{Method.DeclaringType!.Name}.{Method.Name}" : $"{Method.DeclaringType!.Name}.{Method.Name}[{Row}]";

    /// <summary>The tests of these classes; one for each row of a theory.</summary>
    public static IEnumerable<Witness> Of(Assembly assembly, IReadOnlySet<string> classes) =>
        from type in assembly.GetTypes()
        where classes.Contains(type.Name)
        from method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static)
        let fact = method.GetCustomAttribute<FactAttribute>()
        where fact is { Skip: null }
        from row in fact is TheoryAttribute ? Enumerable.Range(0, Rows(method).Count()) : [-1]
        select new Witness(method, row);

    /// <summary>Throws where the test fails. The rows are asked for again each time, for they may come from what is mutated.</summary>
    public void Run()
    {
        object?[] arguments = Row < 0 ? [] : WithParams(Rows(Method).ElementAt(Row));
        object? instance = Method.IsStatic ? null : Activator.CreateInstance(Method.DeclaringType!);
        try
        {
            object? result = Method.Invoke(instance, Reflector.ConvertArguments(arguments, [.. Method.GetParameters().Select(parameter => parameter.ParameterType)]));
            (result as Task)?.GetAwaiter().GetResult();
        }
        finally
        {
            (instance as IDisposable)?.Dispose();
        }
    }

    // What a row has for a last parameter of any number of arguments is an array of them.
    private object?[] WithParams(object?[] row)
    {
        ParameterInfo[] parameters = Method.GetParameters();
        if (!parameters[^1].IsDefined(typeof(ParamArrayAttribute)) || (row.Length == parameters.Length && row[^1] is Array))
            return row;
        object?[] rest = row[(parameters.Length - 1)..];
        Array last = Array.CreateInstance(parameters[^1].ParameterType.GetElementType()!, rest.Length);
        Array.Copy(rest, last, rest.Length);
        return [.. row[..(parameters.Length - 1)], last];
    }

    private static IEnumerable<object?[]> Rows(MethodInfo method) => method.GetCustomAttributes<DataAttribute>().SelectMany(data => data.GetData(method) ?? []);
}

/// <summary>Loads the tests' folder apart from this program, but for xUnit, whose attributes both must mean alike.</summary>
internal sealed class TestFolder(string folder) : AssemblyLoadContext("tests")
{
    protected override Assembly? Load(AssemblyName assemblyName) =>
        !assemblyName.Name!.StartsWith("xunit", StringComparison.Ordinal) && Path.Combine(folder, assemblyName.Name + ".dll") is { } path && File.Exists(path) ? LoadFromAssemblyPath(path) : null;
}
