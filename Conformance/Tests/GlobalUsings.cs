global using S2Attn.Conformance.Protocol;
global using Xunit;
