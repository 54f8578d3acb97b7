# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced. Keys and certificates of one environment. EC keys: the whole set takes less than a second.

PKI_DIR=$REPRISE_RUN/pki

_new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$PKI_DIR/$1.key"; }

# make_certificate NAME SUBJECT [ALTERNATIVE-NAMES], signed by the environment's own CA. Made once.
make_certificate() {
  local name=$1 subject=$2 names=${3:-}
  if [ -s "$PKI_DIR/$name.crt" ]; then return 0; fi
  _new_key "$name"
  {
    printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n'
    printf 'extendedKeyUsage=serverAuth,clientAuth\n'
    if [ -n "$names" ]; then printf 'subjectAltName=%s\n' "$names"; fi
  } >"$PKI_DIR/$name.ext"
  openssl req -new -key "$PKI_DIR/$name.key" -subj "$subject" -out "$PKI_DIR/$name.csr"
  # serials at random rather than counted in a file: node-up may sign at the same time as kube-up
  openssl x509 -req -in "$PKI_DIR/$name.csr" -CA "$PKI_DIR/ca.crt" -CAkey "$PKI_DIR/ca.key" -days 3650 \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$PKI_DIR/$name.ext" -out "$PKI_DIR/$name.crt.new" 2>/dev/null
  rm -f "$PKI_DIR/$name.csr" "$PKI_DIR/$name.ext"
  mv "$PKI_DIR/$name.crt.new" "$PKI_DIR/$name.crt"
}

make_cluster_pki() {
  mkdir -p "$PKI_DIR"
  chmod 700 "$PKI_DIR"
  if [ ! -s "$PKI_DIR/ca.crt" ]; then
    _new_key ca
    openssl req -x509 -new -key "$PKI_DIR/ca.key" -subj /CN=reprise-test-ca -days 3650 -out "$PKI_DIR/ca.crt" \
      -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
  fi
  local names=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default
  names+=,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  make_certificate apiserver /CN=kube-apiserver "$names"
  make_certificate admin /O=system:masters/CN=admin
  make_certificate controller-manager /CN=system:kube-controller-manager
  make_certificate scheduler /CN=system:kube-scheduler
  make_certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  [ -s "$PKI_DIR/service-account.key" ] || _new_key service-account
  # the token belongs to the same administrator, for tests of the other way to authenticate
  [ -s "$PKI_DIR/tokens.csv" ] ||
    printf '%s,admin-by-token,admin-by-token,"system:masters"\n' "$(openssl rand -hex 16)" >"$PKI_DIR/tokens.csv"
}

# write_kubeconfig FILE CERTIFICATE: loopback only. The administrator's gets a second context that uses the token.
write_kubeconfig() {
  local file=$1 certificate=$2
  {
    cat <<END
apiVersion: v1
kind: Config
current-context: reprise
clusters:
- name: reprise
  cluster:
    server: https://127.0.0.1:$(port kube-apiserver)
    certificate-authority-data: $(base64 -w0 "$PKI_DIR/ca.crt")
contexts:
- {name: reprise, context: {cluster: reprise, user: reprise}}
- {name: reprise-token, context: {cluster: reprise, user: reprise-token}}
users:
- name: reprise
  user:
    client-certificate-data: $(base64 -w0 "$PKI_DIR/$certificate.crt")
    client-key-data: $(base64 -w0 "$PKI_DIR/$certificate.key")
END
    if [ "$certificate" = admin ]; then
      printf -- '- {name: reprise-token, user: {token: %s}}\n' "$(cut -d, -f1 "$PKI_DIR/tokens.csv")"
    else
      printf -- '- {name: reprise-token, user: {}}\n'
    fi
  } >"$file.new"
  chmod 600 "$file.new"
  mv "$file.new" "$file"
}
