// The functions about caches that libs2attn.c forwards to: no exception crosses this border.
using System.Runtime.InteropServices;

namespace S2Attn.Native;

internal static unsafe class CacheExports
{
    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_create")]
    public static int Create(NativeConfig* config, long sequences, long maxChunk, ulong* cache)
        => Errors.Guard(() => *cache = Handles.Caches.Add(HostedCache.Of(Recipe.Read(config), sequences, maxChunk)));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_append")]
    public static int Append(ulong cache, long sequence, long tokens, void* k, void* v) => With(cache, used => used.Append(sequence, tokens, k, v));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_attend")]
    public static int Attend(ulong cache, long sequence, long tokens, void* q, void* o, float* lse) => With(cache, used => used.Attend(sequence, tokens, q, o, lse));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_reset")]
    public static int Reset(ulong cache, long sequence) => With(cache, used => used.Reset(sequence));

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_query")]
    public static int Query(ulong cache, long sequence, NativeCacheInfo* info) => With(cache, used => *info = used.Info(sequence) with { StructSize = info->StructSize });

    [UnmanagedCallersOnly(EntryPoint = "s2attn_core_cache_destroy")]
    public static int Destroy(ulong cache)
        => Errors.Guard(() => Handles.Caches.Destroy(cache));

    private static int With(ulong cache, Action<HostedCache> call) => Errors.Guard(() => Handles.Caches.Use(cache, call));
}
