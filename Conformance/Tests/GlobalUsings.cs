global using Xunit;
global using S2Attn.Conformance.Protocol;
