// How are several files written where there were none: all, or none?
namespace S2Attn.Cli;

internal static class NewFiles
{
    /// <summary>Writes them, in folders that are made where they are missing. Where one cannot be written, those before it are removed again, so that the same command can be tried once more.</summary>
    /// <exception cref="IOException">One of them exists, or cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">One may not be written.</exception>
    public static void Write(IReadOnlyList<(string Path, Func<Stream> Content)> files)
    {
        if (files.Select(file => file.Path).FirstOrDefault(Path.Exists) is { } there)
            throw new IOException($"{there} exists; nothing was written");
        List<string> written = [];
        try
        {
            foreach ((string path, Func<Stream> content) in files)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                using Stream source = content();
                using FileStream target = new(path, FileMode.CreateNew);
                written.Add(path);
                source.CopyTo(target);
            }
        }
        catch
        {
            written.ForEach(File.Delete);
            throw;
        }
    }
}
