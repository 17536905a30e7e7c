// Does a model that keeps keys and values generate what one generates that computes everything again?
using S2Attn.Examples;

namespace S2Attn.Tests.Examples;

public sealed class GenerationTests
{
    /// <summary>Past several groups and several turns of the ring, from prompts of one token, of a chunk and of more.</summary>
    [Theory]
    [InlineData(1, 16)]
    [InlineData(64, 24)]
    [InlineData(150, 32)]
    public void A_cache_changes_no_token(int prompt, int groupSize)
    {
        Generation model = new(groupSize, seed: prompt);
        int[] text = Generation.Prompt(prompt, seed: 5), cached = model.WithCache(text, 60, out _), again = model.ByComputingAgain(text, 60, out _);
        Assert.Equal(again, cached);
        Assert.True(cached.Skip(prompt).Distinct().Count() > 1, "a text of one token says nothing");
    }
}
