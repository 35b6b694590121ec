/* The C interface from C. */
#include <npuport_runtime.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  npuport_session* session = NULL;
  if (npuport_runtime_abi() != NPUPORT_RUNTIME_ABI || npuport_backend_count() != 3) return 1;
  if (npuport_session_open("nothing.dla", NULL, NULL, 0, &session) == NPUPORT_OK || session) return 2;
  if (strlen(npuport_last_error(NULL)) == 0) return 3;
  printf("consumer ok: %s\n", npuport_runtime_version());
  return 0;
}
