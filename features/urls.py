from django.urls import path

from features import views

app_name = "features"
_feature = "experiments/<int:experiment_id>/features/<int:index>/"
urlpatterns = [
    path("features/", views.newest, name="newest"),
    path("experiments/<int:experiment_id>/features/", views.gallery, name="gallery"),
    path("experiments/<int:experiment_id>/features/jump/", views.jump, name="jump"),
    path(_feature, views.detail, name="detail"),
    path(f"{_feature}examples/", views.examples, name="examples"),
    path(f"{_feature}labels/", views.add_label, name="add-label"),
    path(f"{_feature}labels/<int:label_id>/edit/", views.edit_label, name="edit-label"),
    path(f"{_feature}labels/<int:label_id>/withdraw/", views.withdraw_label, name="withdraw-label"),
]
