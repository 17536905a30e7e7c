# Does the version that find_package asks for suit? Within one major version, later serves earlier.
set(PACKAGE_VERSION "@VERSION@")
string(REGEX MATCH "^[0-9]+" _s2attn_major "${PACKAGE_VERSION}")
if(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION AND "${PACKAGE_FIND_VERSION_MAJOR}" MATCHES "^(|${_s2attn_major})$")
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
