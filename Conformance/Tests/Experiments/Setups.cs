// Which small runs do the tests of experiments use?
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Training;

namespace S2Attn.Tests.Experiments;

internal static class Setups
{
    public static TrainingSetup Of(DecoderShape shape, Arm arm, int tokens) => new()
    {
        Shape = shape,
        Arm = arm,
        Tokens = tokens,
        Group = tokens / 2,
        Pretrained = tokens,
        Batch = 4,
        Steps = 12,
        WarmUp = 2,
        LearningRate = 3e-3,
        Seed = 1,
    };
}
