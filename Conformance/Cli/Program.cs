// The command line of s2attn.
return 0;
