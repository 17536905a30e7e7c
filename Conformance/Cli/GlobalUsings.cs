// What every command speaks of: the words of the port protocol.
global using S2Attn.Conformance.Protocol;
