# find_package(s2attn) gives the target s2attn::s2attn.
get_filename_component(_s2attn_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET s2attn::s2attn)
  add_library(s2attn::s2attn SHARED IMPORTED)
  set_target_properties(s2attn::s2attn PROPERTIES
    IMPORTED_LOCATION "${_s2attn_prefix}/lib/libs2attn.so"
    IMPORTED_SONAME "libs2attn.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_s2attn_prefix}/include")
endif()
unset(_s2attn_prefix)
